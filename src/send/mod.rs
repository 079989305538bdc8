//! Records for a stream, as the Kinesis agent sends them: read and checked, cut into batches, put with retries.
//!
//! [`source`] and [`batch`] know no AWS; [`put`] knows no files.

pub mod batch;
pub mod put;
pub mod source;
