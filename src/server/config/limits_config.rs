//! Limits on connections, requests and packets (`BinaryInputArchive`, `ServerCnxnFactory`,
//! `RequestThrottler`, `BlueThrottle`, `ZooKeeperServer`, `NIOServerCnxnFactory`).

use super::error::ConfigError;
use super::reader::Reader;

/// Every limit.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitsConfig {
    /// Connections from one address; not above 0: no limit (`maxClientCnxns`).
    pub max_client_cnxns: i32,
    /// Connections in all; not above 0: no limit (`maxCnxns`).
    pub max_cnxns: i32,
    /// Longest packet of a client, and longest string or buffer before the extra
    /// (`jute.maxbuffer`).
    pub jute_max_buffer_bytes: i32,
    /// Bytes a record's strings and buffers may be longer, at least 1024
    /// (`jute.maxbuffer.extrasize`).
    pub jute_max_buffer_extra_bytes: i32,
    /// Requests in process at which connections that have some are no longer read from
    /// (`globalOutstandingLimit`).
    pub global_outstanding_limit: i32,
    /// How long a connection may stay without a session (`nio.sessionlessCnxnTimeout`).
    pub sessionless_cnxn_timeout_ms: i32,
    /// Whether client sockets send TCP keep-alive probes (`clientTcpKeepAlive`).
    pub client_tcp_keep_alive: bool,
    /// A request that waited longer is answered with an error (-127); not above 0: never
    /// (`throttled_op_wait_time`).
    pub throttled_op_wait_time_ms: i32,
    /// The request throttler.
    pub request_throttle: RequestThrottleConfig,
    /// The budget of large requests.
    pub large_request: LargeRequestConfig,
    /// The connection throttle.
    pub connection_throttle: ConnectionThrottleConfig,
}

/// The stage that holds requests back before the pipeline (`RequestThrottler`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestThrottleConfig {
    /// Requests in the pipeline from which others wait; not above 0: no limit
    /// (`request_throttle_max_requests`).
    pub max_requests: i32,
    /// Longest time between two looks at the pipeline (`request_throttle_stall_time`).
    pub stall_time_ms: i32,
    /// Whether stale requests are dropped (`request_throttle_drop_stale`).
    pub drop_stale: bool,
    /// A request of a closed connection is stale (`request_stale_connection_check`).
    pub stale_connection_check: bool,
    /// A request older than its session's timeout is stale (`request_stale_latency_check`).
    pub stale_latency_check: bool,
    /// How long a shutdown waits for requests to leave (`request_throttler.shutdownTimeout`).
    pub shutdown_timeout_ms: i32,
}

/// The bytes of large requests in process (`ZooKeeperServer.checkRequestSizeWhenReceivingMessage`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargeRequestConfig {
    /// Length above which a request counts as large; none: no request does
    /// (`largeRequestThreshold`).
    pub threshold_bytes: Option<i32>,
    /// Bytes of large requests in process at most; beyond it a connection is closed
    /// (`largeRequestMaxBytes`).
    pub max_bytes: i32,
}

/// The token bucket for new connections, with random early dropping (`BlueThrottle`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConnectionThrottleConfig {
    /// Size of the bucket, weighed if weights are on; 0: no throttle
    /// (`connection_throttle_tokens`).
    pub max_tokens: i32,
    /// Time after which tokens come back (`connection_throttle_fill_time`).
    pub fill_time_ms: i32,
    /// Tokens that come back, weighed if weights are on (`connection_throttle_fill_count`).
    pub fill_count: i32,
    /// Least time between two changes of the dropping probability; -1: no random dropping
    /// (`connection_throttle_freeze_time`).
    pub freeze_time_ms: i32,
    /// What the probability grows by (`connection_throttle_drop_increase`).
    pub drop_increase: f64,
    /// What the probability shrinks by (`connection_throttle_drop_decrease`).
    pub drop_decrease: f64,
    /// Share of the bucket above which it shrinks (`connection_throttle_decrease_ratio`).
    pub decrease_ratio: f64,
    /// Whether sessions weigh differently (`connection_throttle_weight_enabled`).
    pub weight_enabled: bool,
    /// Tokens of a new global session (`connection_throttle_global_session_weight`).
    pub global_session_weight: i32,
    /// Tokens of a local session (`connection_throttle_local_session_weight`).
    pub local_session_weight: i32,
    /// Tokens of a session that reconnects (`connection_throttle_renew_session_weight`).
    pub renew_session_weight: i32,
}

/// Records of any size up to the maximum were always let through with this much extra.
const EXTRA_BYTES_MIN: i32 = 1024;

impl LimitsConfig {
    /// Longest string or buffer inside a record, in bytes (`BinaryInputArchive.checkLength`).
    pub fn buffer_bytes_max(&self) -> usize {
        let [max, extra] = [self.jute_max_buffer_bytes, self.jute_max_buffer_extra_bytes];
        (max as usize).saturating_add(extra as usize)
    }

    /// Reads every key of this group.
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let jute_max_buffer_bytes = reader.number("jute.maxbuffer");
        let extra = reader.number_opt("jute.maxbuffer.extrasize");
        Ok(Self {
            max_client_cnxns: reader.line_number("maxClientCnxns")?,
            max_cnxns: reader.number("maxCnxns"),
            jute_max_buffer_bytes,
            jute_max_buffer_extra_bytes: extra
                .unwrap_or(jute_max_buffer_bytes)
                .max(EXTRA_BYTES_MIN),
            global_outstanding_limit: reader.number("globalOutstandingLimit"),
            sessionless_cnxn_timeout_ms: reader.number("nio.sessionlessCnxnTimeout"),
            client_tcp_keep_alive: reader.boolean("clientTcpKeepAlive"),
            throttled_op_wait_time_ms: reader.number("throttled_op_wait_time"),
            request_throttle: RequestThrottleConfig::read(reader),
            large_request: LargeRequestConfig::read(reader),
            connection_throttle: ConnectionThrottleConfig::read(reader)?,
        })
    }
}

impl RequestThrottleConfig {
    fn read(reader: &mut Reader) -> Self {
        Self {
            max_requests: reader.number("request_throttle_max_requests"),
            stall_time_ms: reader.number("request_throttle_stall_time"),
            drop_stale: reader.boolean("request_throttle_drop_stale"),
            stale_connection_check: reader.boolean("request_stale_connection_check"),
            stale_latency_check: reader.boolean("request_stale_latency_check"),
            shutdown_timeout_ms: reader.number("request_throttler.shutdownTimeout"),
        }
    }
}

impl LargeRequestConfig {
    fn read(reader: &mut Reader) -> Self {
        let threshold: i32 = reader.number("largeRequestThreshold");
        let invalid = threshold == 0 || threshold < -1;
        if let Some(setting) = reader.property("largeRequestThreshold").filter(|_| invalid) {
            let text =
                format!("{} is neither above 0 nor -1; -1 is used", setting.with(&setting.value));
            reader.warn(setting, &text);
        }
        Self {
            threshold_bytes: Some(threshold).filter(|&threshold| threshold > 0),
            max_bytes: reader.number_above_0("largeRequestMaxBytes"),
        }
    }
}

impl ConnectionThrottleConfig {
    fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let weight_enabled = reader.boolean("connection_throttle_weight_enabled");
        let local_session_weight =
            reader.number_above_0("connection_throttle_local_session_weight");
        let global_session_weight = reader
            .number_above_0("connection_throttle_global_session_weight")
            .max(local_session_weight);
        let renew_session_weight = reader
            .number_above_0("connection_throttle_renew_session_weight")
            .max(local_session_weight);
        // Tokens are given for global sessions.
        let weight = if weight_enabled { global_session_weight } else { 1 };
        let tokens: i32 = reader.number("connection_throttle_tokens");
        let fill_count: i32 = reader.number("connection_throttle_fill_count");
        Ok(Self {
            max_tokens: tokens.saturating_mul(weight),
            fill_time_ms: reader.number("connection_throttle_fill_time"),
            fill_count: fill_count.saturating_mul(weight),
            freeze_time_ms: reader.number("connection_throttle_freeze_time"),
            drop_increase: reader.strict_number("connection_throttle_drop_increase")?,
            drop_decrease: reader.strict_number("connection_throttle_drop_decrease")?,
            decrease_ratio: reader.strict_number("connection_throttle_decrease_ratio")?,
            weight_enabled,
            global_session_weight,
            local_session_weight,
            renew_session_weight,
        })
    }
}
