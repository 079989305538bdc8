//! A local cloud in this process in which records move by themselves, as they do behind `stackctl local serve`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::failure::Failure;
use crate::local::listener::Listener;
use crate::local::{OpenError, Settings, serve};

use super::{local_dir, local_failure};

/// The local cloud of this process with its listener, which functions need to reach it.
pub struct Moving {
    listener: Listener,
}

impl Moving {
    /// Opens the local cloud; returns nothing when another process has it and moves its records.
    pub(super) async fn open(settings: Settings) -> Result<Result<Self, String>, Failure> {
        match serve(&local_dir(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), settings).await {
            Ok(listener) => Ok(Ok(Self { listener })),
            Err(OpenError::Busy { listener: Some(url), .. }) => Ok(Err(url)),
            Err(error) => Err(local_failure(&error)),
        }
    }

    pub(super) fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Waits until every record has arrived where it goes; false when something has failed for a time and nothing
    /// has arrived meanwhile.
    pub async fn drained(&self, patience: Duration) -> bool {
        self.listener.drained(patience).await
    }

    /// Gives the local cloud back.
    ///
    /// # Errors
    /// Returns an error when the listener did not end well.
    pub async fn stop(self) -> Result<(), Failure> {
        Ok(self.listener.stop().await?)
    }
}
