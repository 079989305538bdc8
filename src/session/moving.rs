//! A local cloud in this process in which records move by themselves, as they do behind `stackctl local serve`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::failure::Failure;
use crate::local::listener::Listener;
use crate::local::{OpenError, Settings, serve};

use super::{local_dir, local_failure};

/// Nothing may have been on its way for so long before all is taken to have arrived: pollers look at a stream at
/// intervals, and look for new work as often.
const QUIET: Duration = Duration::from_millis(1500);

/// How often that is asked.
const LOOK: Duration = Duration::from_millis(50);

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

    /// Waits until every record has arrived where it goes.
    pub async fn drained(&self) {
        let mut quiet = Duration::ZERO;
        while quiet < QUIET {
            tokio::time::sleep(LOOK).await;
            quiet = if self.listener.is_idle() { quiet + LOOK } else { Duration::ZERO };
        }
    }

    /// Gives the local cloud back.
    ///
    /// # Errors
    /// Returns an error when the listener did not end well.
    pub async fn stop(self) -> Result<(), Failure> {
        Ok(self.listener.stop().await?)
    }
}
