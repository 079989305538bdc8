//! What the tests stand on: a folder to run in, AWS stand-ins to talk to, and the fixtures of the kinds.

pub(crate) mod account;
pub(crate) mod fixture;
pub(crate) mod hostile;
pub(crate) mod listener;
pub(crate) mod ministack;
pub(crate) mod moto;
pub(crate) mod proxy;
pub(crate) mod sandbox;
pub(crate) mod schemas;
pub(crate) mod trial;
pub(crate) mod wire;
