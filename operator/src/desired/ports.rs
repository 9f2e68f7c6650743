//! Ports that processes listen on inside their containers, all above 1024: nobody there may bind others.

/// The server's HTTP API.
pub const API: i32 = 9984;

/// The server's WebSocket API.
pub const WEBSOCKET: i32 = 9985;

/// `mongod`, and the gateway's way to it.
pub const MONGODB: i32 = 27017;

/// The gateway's port for both APIs, with TLS if it speaks TLS.
pub const GATEWAY_API: i32 = 8443;

/// The gateway's port for the WebSocket API alone.
pub const GATEWAY_WEBSOCKET: i32 = 8081;

/// The gateway's own health, `/health`, without TLS.
pub const GATEWAY_HEALTH: i32 = 8888;
