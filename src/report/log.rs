//! Log lines on their way to standard error, which are no safer than anything else that others wrote.

use std::io::{Result, Write};

use super::Screen;

/// Writes what `tracing` has put together, a line at a time.
#[derive(Debug, Default)]
pub struct Lines {
    screen: Screen,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.screen.note(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
