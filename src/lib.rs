//! Plans, applies and destroys streaming stacks on AWS from one YAML file.

mod local;
