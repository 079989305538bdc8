//! What can be typed after the commands that look and describe: `drift`, `policy`, `schema`.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use super::StackArgs;

/// Arguments of `drift`.
#[derive(Debug, Clone, Args)]
pub struct DriftArgs {
    /// Stack files; may be patterns such as 'stacks/*.yaml' [default: stack.yaml, else the only file in stacks/]
    #[arg(value_name = "STACK", env = "STACKCTL_STACK")]
    pub stacks: Vec<String>,
    /// Set a variable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// Set variables from a YAML file
    #[arg(long = "var-file", value_name = "FILE")]
    pub var_files: Vec<PathBuf>,
    /// How to print the report
    #[arg(long, value_enum, default_value_t = DriftFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: DriftFormat,
    /// Also write the report to a file in another format, from the same check
    #[arg(long = "write", value_name = "FORMAT=FILE", env = "STACKCTL_WRITE", value_delimiter = ',')]
    pub writes: Vec<String>,
    /// Exit with 0 whatever is found
    #[arg(long, env = "STACKCTL_REPORT_ONLY", value_parser = BoolishValueParser::new())]
    pub report_only: bool,
    /// What makes the exit code 2 [default: all but pending]
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',', value_enum, env = "STACKCTL_FAIL_ON")]
    pub fail_on: Vec<DriftClass>,
    /// Ask CloudTrail who made the changes
    #[arg(long, env = "STACKCTL_WHO", value_parser = BoolishValueParser::new())]
    pub who: bool,
}

/// Arguments of `policy`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("for").required(true))]
pub struct PolicyArgs {
    /// The stack, for --deployer.
    #[command(flatten)]
    pub stack: StackArgs,
    /// What `drift` reads, of any stack
    #[arg(long, group = "for")]
    pub drift: bool,
    /// What `plan`, `apply` and `destroy` of this stack need
    #[arg(long, group = "for")]
    pub deployer: bool,
    /// With what `drift --who` asks CloudTrail
    #[arg(long, requires = "drift")]
    pub who: bool,
}

/// What can be the matter with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum DriftClass {
    /// Something of the right name, without the stack's tags
    LookAlike,
    /// In the file, not in AWS
    Missing,
    /// Not in the wanted status
    Stopped,
    /// Changed in AWS and in the file
    Both,
    /// Changed in AWS since the last apply
    Drifted,
    /// More than the file lists
    Undeclared,
    /// The stack's by its tags, not in the file
    Orphan,
    /// Changed in the file since the last apply
    Pending,
}

/// How drift is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriftFormat {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// For pull requests and step summaries
    Markdown,
    /// JUnit XML
    Junit,
    /// SARIF 2.1.0
    Sarif,
    /// Annotations, step summary and outputs of GitHub Actions
    Github,
}

/// Arguments of `schema`.
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// What is described
    #[arg(long, value_enum, default_value_t = Described::Stack, env = "STACKCTL_OF")]
    pub of: Described,
}

/// What has a JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Described {
    /// Stack files
    Stack,
    /// Reports of `drift --format json`
    Drift,
}
