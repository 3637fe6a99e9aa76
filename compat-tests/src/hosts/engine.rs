//! The engine that runs containers (Docker), and what is asked of it beyond what `testcontainers`
//! asks: networks with members that come and go, volumes, signals.

use std::env;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::Duration;

use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{
    ContainerInspectResponse, EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig,
    NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};
use testcontainers::bollard::query_parameters::{
    InspectContainerOptions, InspectNetworkOptions, KillContainerOptions, RemoveVolumeOptions,
    StartContainerOptions, StopContainerOptionsBuilder,
};
use testcontainers::core::ExecCommand;
use testcontainers::core::client::docker_client_instance;
use testcontainers::core::ports::Ports;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::server::LOG_LINES;

/// How long the engine may take to say that it is there.
const PING_LIMIT: Duration = Duration::from_secs(10);

/// How long a container may take to end after SIGTERM, in seconds.
const STOP_LIMIT_S: i32 = 60;

/// How often a network is tried whose addresses another may take meanwhile.
const NETWORK_TRIES: usize = 20;

/// Where the addresses begin that members move to, counted from the network's own: beyond what the
/// engine gives out by itself to a few members.
const FIRST_NEW_ADDRESS: u32 = 100;

/// A container, removed with its anonymous volumes by [`Engine::remove`].
pub type Running = ContainerAsync<GenericImage>;

/// The engine.
#[derive(Debug)]
pub struct Engine {
    runtime: Runtime,
    docker: Docker,
}

impl Engine {
    /// The engine, or why there is none; `COMPAT_CONTAINERS=none` asks for none.
    pub fn get() -> Result<&'static Self, String> {
        static ENGINE: LazyLock<Result<Engine, String>> = LazyLock::new(Engine::connect);
        ENGINE.as_ref().map_err(Clone::clone)
    }

    fn connect() -> Result<Self, String> {
        if env::var("COMPAT_CONTAINERS").is_ok_and(|value| value == "none") {
            return Err("COMPAT_CONTAINERS=none".into());
        }
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let docker = runtime.block_on(async {
            let docker = docker_client_instance().await.map_err(|error| error.to_string())?;
            let answer = timeout(PING_LIMIT, docker.ping()).await;
            answer.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
            Ok::<_, String>(docker)
        });
        docker.map(|docker| Self { runtime, docker })
    }

    fn wait<T, E: ToString>(&self, what: impl Future<Output = Result<T, E>>) -> Result<T, String> {
        self.runtime.block_on(what).map_err(|error| error.to_string())
    }

    /// Starts a container.
    pub fn run(&self, request: ContainerRequest<GenericImage>) -> Result<Running, String> {
        self.wait(request.start())
    }

    /// Removes a container, whether it runs or not.
    pub fn remove(&self, container: Running) {
        let _inside = self.runtime.enter();
        drop(container);
    }

    /// Starts a container that has ended.
    pub fn start(&self, container: &Running) -> Result<(), String> {
        self.wait(self.docker.start_container(container.id(), None::<StartContainerOptions>))
    }

    /// Sends SIGTERM and waits for the end; its exit code.
    pub fn stop(&self, container: &Running) -> Result<i64, String> {
        let options = StopContainerOptionsBuilder::new().t(STOP_LIMIT_S).build();
        self.wait(self.docker.stop_container(container.id(), Some(options)))?;
        let state = self.inspect(container)?.state.unwrap_or_default();
        state.exit_code.ok_or_else(|| "it has not ended".into())
    }

    /// Sends SIGKILL.
    pub fn kill(&self, container: &Running) -> Result<(), String> {
        self.wait(self.docker.kill_container(container.id(), None::<KillContainerOptions>))
    }

    /// Freezes a container, or lets it go on.
    pub fn set_paused(&self, container: &Running, paused: bool) -> Result<(), String> {
        let id = container.id();
        if self.inspect(container)?.state.and_then(|state| state.paused) == Some(paused) {
            return Ok(());
        }
        match paused {
            true => self.wait(self.docker.pause_container(id)),
            false => self.wait(self.docker.unpause_container(id)),
        }
    }

    /// All that the engine knows of a container.
    pub fn inspect(&self, container: &Running) -> Result<ContainerInspectResponse, String> {
        let options = None::<InspectContainerOptions>;
        self.wait(self.docker.inspect_container(container.id(), options))
    }

    /// The last lines it printed.
    pub fn log_tail(&self, container: &Running) -> String {
        let both = self.runtime.block_on(async {
            let (out, err) = (container.stdout_to_vec().await, container.stderr_to_vec().await);
            [out.unwrap_or_default(), err.unwrap_or_default()].concat()
        });
        let text = String::from_utf8_lossy(&both);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Copies a file out of a container, as bytes.
    pub fn read(&self, container: &Running, path: &str) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        self.wait(container.copy_file_from(path, &mut content))?;
        Ok(content)
    }

    /// The ports of this machine under which it is reached.
    pub fn ports(&self, container: &Running) -> Result<Ports, String> {
        self.wait(container.ports())
    }

    /// Runs a program inside a container; its exit code.
    pub fn exec(&self, container: &Running, command: &[&str]) -> Result<i64, String> {
        self.runtime.block_on(async {
            let command = ExecCommand::new(command.iter().copied());
            let mut ran = container.exec(command).await.map_err(|error| error.to_string())?;
            // It has ended once its output has.
            ran.stdout_to_vec().await.map_err(|error| error.to_string())?;
            let code = ran.exit_code().await.map_err(|error| error.to_string())?;
            code.ok_or_else(|| "it has not ended".into())
        })
    }

    /// Removes a volume; nobody may use it any more.
    pub fn remove_volume(&self, name: &str) -> Result<(), String> {
        self.wait(self.docker.remove_volume(name, None::<RemoveVolumeOptions>))
    }
}

/// A network of one ensemble; removed when dropped.
#[derive(Debug)]
pub struct Network {
    engine: &'static Engine,
    name: String,
    subnet: Ipv4Addr,
    given_out: u32,
}

impl Network {
    /// Makes it. Its addresses are what the engine picks, but named, as otherwise none of them
    /// could be asked for later.
    pub fn new(engine: &'static Engine, name: &str) -> Result<Self, String> {
        let create = |config: Option<Vec<IpamConfig>>| {
            let ipam = config.map(|config| Ipam { config: Some(config), ..Ipam::default() });
            let name = name.to_owned();
            let request = NetworkCreateRequest { name, ipam, ..NetworkCreateRequest::default() };
            engine.wait(engine.docker.create_network(request)).map(drop)
        };
        let remove = || engine.wait(engine.docker.remove_network(name));
        let mut last = String::new();
        for _ in 0..NETWORK_TRIES {
            create(None)?;
            let options = None::<InspectNetworkOptions>;
            let made = engine.wait(engine.docker.inspect_network(name, options));
            remove()?;
            let config = made?.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
            let subnet = config.first().and_then(|config| config.subnet.clone());
            let subnet = subnet.ok_or("a network without addresses")?;
            let base = subnet.split('/').next().and_then(|base| base.parse().ok());
            let base = base.ok_or_else(|| format!("{subnet} is no IPv4 network"))?;
            match create(Some(vec![IpamConfig { subnet: Some(subnet), ..IpamConfig::default() }])) {
                Ok(()) => {
                    let name = name.to_owned();
                    return Ok(Self { engine, name, subnet: base, given_out: 0 });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Its name with the engine.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes a container out of it.
    pub fn disconnect(&self, container: &Running) -> Result<(), String> {
        let container = container.id().to_owned();
        let request = NetworkDisconnectRequest { container, force: None };
        self.engine.wait(self.engine.docker.disconnect_network(&self.name, request))
    }

    /// An address that nobody had before.
    pub fn new_address(&mut self) -> String {
        let base = self.subnet.to_bits();
        let address = Ipv4Addr::from_bits(base + FIRST_NEW_ADDRESS + self.given_out);
        self.given_out += 1;
        address.to_string()
    }

    /// Puts a container into it, under this address.
    pub fn connect(&self, container: &Running, address: &str) -> Result<(), String> {
        let ipam_config =
            EndpointIpamConfig { ipv4_address: Some(address.into()), ..Default::default() };
        let endpoint =
            EndpointSettings { ipam_config: Some(ipam_config), ..EndpointSettings::default() };
        let container = container.id().to_owned();
        let request = NetworkConnectRequest { container, endpoint_config: Some(endpoint) };
        self.engine.wait(self.engine.docker.connect_network(&self.name, request))
    }

    /// A container's address in it.
    pub fn address_of(&self, container: &Running) -> Result<String, String> {
        let networks = self.engine.inspect(container)?.network_settings.and_then(|s| s.networks);
        let endpoint = networks.unwrap_or_default().remove(&self.name);
        endpoint.and_then(|endpoint| endpoint.ip_address).ok_or_else(|| "not in the network".into())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Err(error) = self.engine.wait(self.engine.docker.remove_network(&self.name)) {
            eprintln!("the network {} is left: {error}", self.name);
        }
    }
}
