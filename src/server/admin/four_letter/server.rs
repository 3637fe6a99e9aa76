//! Words about the server itself: conf, dirs, envi, gtmk, hash, isro, ruok, stmk.

use std::fmt::Write;

use crate::processor::ServerMode;
use crate::server::admin::member::member_conf;
use crate::server::admin::queries;
use crate::server::net::ServerContext;

/// The settings (`ZooKeeperServer.dumpConf`).
pub(super) fn conf(context: &ServerContext) -> String {
    let conf = queries::conf(context);
    let sizes = queries::dirs(context);
    let text = format!(
        "clientPort={}\nsecureClientPort={}\ndataDir={}\ndataDirSize={}\ndataLogDir={}\n\
         dataLogSize={}\ntickTime={}\nmaxClientCnxns={}\nminSessionTimeout={}\n\
         maxSessionTimeout={}\nclientPortListenBacklog={}\nserverId={}\n",
        conf.client_port,
        conf.secure_client_port,
        conf.data_dir.display(),
        sizes.data_dir_bytes,
        conf.data_log_dir.display(),
        sizes.log_dir_bytes,
        conf.tick_time_ms,
        conf.max_client_cnxns,
        conf.min_session_timeout_ms,
        conf.max_session_timeout_ms,
        conf.client_port_listen_backlog,
        conf.server_id,
    );
    text + &member(context)
}

/// What only members of an ensemble have (`QuorumZooKeeperServer.dumpConf`).
fn member(context: &ServerContext) -> String {
    let Some(conf) = member_conf(context) else { return String::new() };
    format!(
        "initLimit={}\nsyncLimit={}\nelectionAlg=3\nelectionPort={}\nquorumPort={}\n\
         peerType={}\nmembership: \n{}",
        conf.init_limit_ticks,
        conf.sync_limit_ticks,
        conf.election_port,
        conf.quorum_port,
        conf.peer_type,
        conf.membership,
    )
}

/// Bytes on disk (`DirsCommand`).
pub(super) fn dirs(context: &ServerContext) -> String {
    let sizes = queries::dirs(context);
    format!("datadir_size: {}\nlogdir_size: {}\n", sizes.data_dir_bytes, sizes.log_dir_bytes)
}

/// What the server runs in (`EnvCommand`).
pub(super) fn envi() -> String {
    let mut text = String::from("Environment:\n");
    for (key, value) in queries::environment() {
        let _ = writeln!(text, "{key}={value}");
    }
    text
}

/// What is traced (`TraceMaskCommand`).
pub(super) fn gtmk(context: &ServerContext) -> String {
    context.admin.trace_mask().to_string()
}

/// Sets what is traced (`SetTraceMaskCommand`).
pub(super) fn stmk(context: &ServerContext, mask: [u8; 8]) -> String {
    context.admin.set_trace_mask(i64::from_be_bytes(mask));
    gtmk(context)
}

/// The digests remembered (`DigestCommand`).
pub(super) fn hash(context: &ServerContext) -> String {
    let mut text = String::new();
    for (zxid, digest) in queries::digests(context) {
        let _ = writeln!(text, "{zxid}: {}", digest as i64);
    }
    text
}

/// Whether it takes writes; null while it does not serve (`IsroCommand`).
pub(super) fn isro(context: &ServerContext) -> String {
    match context.state.mode() {
        ServerMode::NotServing => "null".into(),
        ServerMode::ReadOnly => "ro".into(),
        _ => "rw".into(),
    }
}

/// Whether it runs (`RuokCommand`).
pub(super) fn ruok() -> String {
    "imok".into()
}
