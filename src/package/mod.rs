//! What is made from local files before it goes to AWS.

pub mod lambda;
pub mod userdata;
