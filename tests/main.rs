//! Tests of the program from outside.

#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod moto;
mod python;
#[cfg(test)]
mod round_trip;
mod schema;
mod stack_files;
#[cfg(test)]
mod support;
