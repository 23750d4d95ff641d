//! Placeholder: the parts are put together here.

use std::net::SocketAddr;

use crate::config::Config;
use crate::error::{Error, Result};

/// Serves until it is told to stop; calls `started` with the address once it listens.
pub async fn serve(_config: Config, _started: impl FnOnce(SocketAddr)) -> Result<()> {
    Err(Error::internal("serving is not there yet"))
}
