//! Tests of the program from outside.

#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod moto;
#[cfg(test)]
mod round_trip;
mod stack_files;
#[cfg(test)]
mod support;
