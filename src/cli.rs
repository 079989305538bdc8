//! What can be typed: commands and flags, and nothing of what they mean.

mod check;

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use check::{Described, DriftArgs, DriftClass, DriftFormat, PolicyArgs, SchemaArgs};

/// Plans, applies and destroys streaming stacks on AWS from one YAML file, without a state file.
#[derive(Debug, Parser)]
#[command(name = "stackctl", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 error, 2 changes (plan --detailed-exitcode) or drift, 3 drift check incomplete, 64 usage, 130 and 143 signals.\n\
    Flags can also be set as environment variables: --auto-approve is STACKCTL_AUTO_APPROVE; --var name=value is STACKCTL_VAR_name.";

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Globals {
    /// Work in this folder
    #[arg(short = 'C', long = "chdir", global = true, value_name = "DIR", env = "STACKCTL_CHDIR")]
    pub chdir: Option<PathBuf>,
    /// Use this profile of the AWS configuration
    #[arg(short = 'P', long, global = true, env = "STACKCTL_PROFILE")]
    pub profile: Option<String>,
    /// Use this region instead of the stack file's
    #[arg(short = 'R', long, global = true, env = "STACKCTL_REGION")]
    pub region: Option<String>,
    /// Talk to this endpoint instead of AWS's
    #[arg(long, global = true, value_name = "URL", env = "STACKCTL_ENDPOINT_URL", conflicts_with = "local")]
    pub endpoint_url: Option<String>,
    /// Use the local cloud in .stackctl/local instead of AWS
    #[arg(long, global = true, env = "STACKCTL_LOCAL", value_parser = BoolishValueParser::new())]
    pub local: bool,
    /// Write without colours
    #[arg(long, global = true, env = "STACKCTL_NO_COLOR", value_parser = BoolishValueParser::new())]
    pub no_color: bool,
    /// Log AWS calls to standard error; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, env = "STACKCTL_VERBOSE")]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a stack file without asking AWS anything
    Validate(ValidateArgs),
    /// Show what apply would do
    Plan(PlanArgs),
    /// Make AWS match the stack file, or carry out a saved plan
    ///
    /// STACK may be a plan that `plan --out` has saved. Exactly that plan is carried out, without asking; when the stack
    /// file, AWS, the account, the region, the variables or stackctl itself have moved since, nothing is done and what
    /// has moved is named. Run it in the folder where the plan was made: the plan names its stack file from there.
    /// Values of sensitive variables are not in a plan and have to be given again; those of others are.
    Apply(ApplyArgs),
    /// Delete what the stack owns, and prove that nothing is left
    Destroy(DestroyArgs),
    /// Compare stacks with AWS, reading only
    ///
    /// Tells what was changed in AWS from what was changed in the file. Exits with 0 when AWS is as last applied, 2 when
    /// it is not, and 3 when something could not be read.
    Drift(DriftArgs),
    /// Show or end the lease of the run that changes the stack
    #[command(subcommand)]
    Lock(LockCommand),
    /// Print the least IAM policy for checking or deploying a stack
    Policy(PolicyArgs),
    /// Print the stack's outputs
    Output(OutputArgs),
    /// Show the stack's live resources and their status, or a saved plan
    ///
    /// STACK may be a plan that `plan --out` has saved: it is shown as `plan` did, and nothing is asked of AWS.
    Show(ShowArgs),
    /// Put the records of a file to a stream, as the Kinesis agent would
    Send(SendArgs),
    /// Say hop by hop whether data gets through the stack
    ///
    /// Reads only, and exits with 2 when a hop is broken. With --canary it writes: it puts the record of the stack
    /// file's `verify:` section into the first stream, waits for what becomes of it, and deletes the table's item
    /// again. What it cannot take back are the records, which expire, and a message to whoever subscribed.
    Verify(VerifyArgs),
    /// Draw the stack's resources and what they need
    Graph(GraphArgs),
    /// Write what the stack has in AWS for another tool that is to take it over; reads only
    Export(ExportArgs),
    /// Make a stack file of a Terraform or OpenTofu state file, without asking AWS anything
    ///
    /// Reads what `terraform state pull` or `terraform show -json` writes. Secrets are not written: they become
    /// variables. The command that it prints takes over what AWS has, without making anything anew.
    ImportTerraform(ImportTerraformArgs),
    /// Print the JSON Schema of stack files, for editors, or of a report
    Schema(SchemaArgs),
    /// Print shell completions
    Completions {
        /// Shell to complete for
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Serve, empty or inspect the local cloud
    #[command(subcommand)]
    Local(LocalCommand),
}

impl Command {
    /// Tells whether its standard output is one JSON event a line.
    #[must_use]
    pub fn is_told_in_events(&self) -> bool {
        match self {
            Self::Apply(ApplyArgs { run, .. }) | Self::Destroy(DestroyArgs { run, .. }) => {
                run.format == RunFormat::Json
            }
            _ => false,
        }
    }
}

/// Where the stack file is and what its variables are.
#[derive(Debug, Clone, Args)]
pub struct StackArgs {
    /// Stack file [default: stack.yaml, else the only file in stacks/]
    #[arg(value_name = "STACK", env = "STACKCTL_STACK")]
    pub stack: Option<PathBuf>,
    /// Set a variable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// Set variables from a YAML file
    #[arg(long = "var-file", value_name = "FILE")]
    pub var_files: Vec<PathBuf>,
}

/// Arguments of `validate`.
#[derive(Debug, Clone, Args)]
pub struct ValidateArgs {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = RunFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: RunFormat,
}

/// What a plan is about.
#[derive(Debug, Clone, Default, Args)]
pub struct GoalArgs {
    /// Plan only this resource and what it needs
    #[arg(long = "target", value_name = "ID", value_delimiter = ',', env = "STACKCTL_TARGET")]
    pub targets: Vec<String>,
    /// Leave out this resource and what needs it
    #[arg(long = "exclude", value_name = "ID", value_delimiter = ',', env = "STACKCTL_EXCLUDE")]
    pub excludes: Vec<String>,
    /// Replace this resource although nothing forces it
    #[arg(long = "replace", value_name = "ID", value_delimiter = ',', env = "STACKCTL_REPLACE")]
    pub replace: Vec<String>,
    /// Take over what already exists under this resource's name, or by its identifier in AWS; `all` for every one
    #[arg(long = "adopt", value_name = "ID[=PHYSICAL]|all", value_delimiter = ',', env = "STACKCTL_ADOPT")]
    pub adopt: Vec<String>,
    /// Delete what hangs on this resource and the file does not list, such as subscriptions; `all` for every resource
    #[arg(long = "prune", value_name = "ID|all", value_delimiter = ',', env = "STACKCTL_PRUNE")]
    pub prune: Vec<String>,
}

/// Arguments of `plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// What the plan is about.
    #[command(flatten)]
    pub goal: GoalArgs,
    /// Plan the deletion of everything
    #[arg(long, env = "STACKCTL_DESTROY", value_parser = BoolishValueParser::new())]
    pub destroy: bool,
    /// Save the plan to this file, for `apply FILE` and `show FILE`; replaces an older plan and no other file
    #[arg(long, value_name = "FILE", env = "STACKCTL_OUT")]
    pub out: Option<PathBuf>,
    /// How to print the plan
    #[arg(long, value_enum, default_value_t = PlanFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: PlanFormat,
    /// Exit with 2 when there are changes
    #[arg(long, env = "STACKCTL_DETAILED_EXITCODE", value_parser = BoolishValueParser::new())]
    pub detailed_exitcode: bool,
}

/// Arguments of `apply`.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// What the plan is about.
    #[command(flatten)]
    pub goal: GoalArgs,
    /// How it runs.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `destroy`.
#[derive(Debug, Clone, Args)]
pub struct DestroyArgs {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// Destroy only this resource and what needs it
    #[arg(long = "target", value_name = "ID", value_delimiter = ',', env = "STACKCTL_TARGET")]
    pub targets: Vec<String>,
    /// Leave out this resource and what it needs
    #[arg(long = "exclude", value_name = "ID", value_delimiter = ',', env = "STACKCTL_EXCLUDE")]
    pub excludes: Vec<String>,
    /// How it runs.
    #[command(flatten)]
    pub run: RunArgs,
}

/// How a plan is carried out.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Do not ask
    #[arg(short = 'y', long, alias = "yes", env = "STACKCTL_AUTO_APPROVE", value_parser = BoolishValueParser::new())]
    pub auto_approve: bool,
    /// How many resources at once
    #[arg(long, value_name = "N", default_value_t = 64, env = "STACKCTL_PARALLELISM")]
    pub parallelism: usize,
    /// How long to wait for another run that has the lease of the stack file's `lock:`, such as 10m; 0 fails at once
    #[arg(long, value_name = "TIME", default_value = "0", env = "STACKCTL_LOCK_TIMEOUT")]
    pub lock_timeout: String,
    /// How to print what happens
    #[arg(long, value_enum, default_value_t = RunFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: RunFormat,
}

/// What can be done with the lease on a stack.
#[derive(Debug, Clone, Subcommand)]
pub enum LockCommand {
    /// Show which run has the lease, or had it last
    Show(LockShowArgs),
    /// End the lease of another run
    ///
    /// A run at work learns it when it next renews its lease. It then starts nothing new, but what it has asked AWS for
    /// by then goes on. The lease of a run that died needs none of this: it ends by itself.
    Release(LockReleaseArgs),
}

/// Arguments of `lock show`.
#[derive(Debug, Clone, Args)]
pub struct LockShowArgs {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// How to print it
    #[arg(long, value_enum, default_value_t = RunFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: RunFormat,
}

/// Arguments of `lock release`.
#[derive(Debug, Clone, Args)]
pub struct LockReleaseArgs {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// Do not ask
    #[arg(short = 'y', long, alias = "yes", env = "STACKCTL_AUTO_APPROVE", value_parser = BoolishValueParser::new())]
    pub auto_approve: bool,
}

/// Arguments of `output`.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Only this output, as plain text
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Stack file [default: stack.yaml, else the only file in stacks/]
    #[arg(long = "stack", value_name = "STACK", env = "STACKCTL_STACK")]
    pub stack: Option<PathBuf>,
    /// Set a variable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// Set variables from a YAML file
    #[arg(long = "var-file", value_name = "FILE")]
    pub var_files: Vec<PathBuf>,
    /// How to print them
    #[arg(long, value_enum, default_value_t = RunFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: RunFormat,
}

/// Arguments of `show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// How to print it
    #[arg(long, value_enum, default_value_t = RunFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: RunFormat,
}

/// Arguments of `send`.
#[derive(Debug, Clone, Args)]
pub struct SendArgs {
    /// Name of the stream, or the id of a stream of the stack
    #[arg(value_name = "STREAM")]
    pub stream: String,
    /// File with a record on each line; `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The lines are CSV with these columns; without it, the first line of a .csv file names them
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', env = "STACKCTL_CSV_COLUMNS")]
    pub csv_columns: Vec<String>,
    /// Send the lines as they are, even if they are not JSON
    #[arg(long, conflicts_with = "csv_columns", env = "STACKCTL_RAW", value_parser = BoolishValueParser::new())]
    pub raw: bool,
    /// Send no more than this
    #[arg(long, value_name = "N/s", env = "STACKCTL_RATE")]
    pub rate: Option<String>,
    /// Stack file for the region and for ids of streams [default: stack.yaml, else the only file in stacks/]
    #[arg(long = "stack", value_name = "STACK", env = "STACKCTL_STACK")]
    pub stack: Option<PathBuf>,
    /// Set a variable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// Set variables from a YAML file
    #[arg(long = "var-file", value_name = "FILE")]
    pub var_files: Vec<PathBuf>,
    /// How to print the counts
    #[arg(long, value_enum, default_value_t = RunFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: RunFormat,
}

/// Arguments of `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// Send a labelled record through the stack; subscribers get a message
    #[arg(long, env = "STACKCTL_CANARY", value_parser = BoolishValueParser::new())]
    pub canary: bool,
    /// How long the canary may take to arrive
    #[arg(long, value_name = "TIME", default_value = "60s", env = "STACKCTL_TIMEOUT")]
    pub timeout: String,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = RunFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: RunFormat,
}

/// Arguments of `graph`.
#[derive(Debug, Clone, Args)]
pub struct GraphArgs {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// Language of the drawing
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot, env = "STACKCTL_FORMAT")]
    pub format: GraphFormat,
}

/// Arguments of `export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The stack.
    #[command(flatten)]
    pub stack: StackArgs,
    /// For which tool
    #[arg(long, value_enum, env = "STACKCTL_FORMAT")]
    pub format: ExportFormat,
    /// Write the files into this folder instead of printing them; none of them may exist
    #[arg(long, value_name = "DIR", env = "STACKCTL_WRITE")]
    pub write: Option<PathBuf>,
}

/// The settings of the local cloud that make it like the real one on a bad day.
const EXPERIMENTS: &str = "\
Experiments, for this command and for --local (all off by default):
  STACKCTL_LOCAL_LATENCY_MS    time of every request: 50, 20..80 or lognormal(40, 0.5)
  STACKCTL_LOCAL_DELAY_MS      time of every change of state: 500, or kinesis=200,lambda=50
  STACKCTL_LOCAL_IAM_DELAY_MS  time until others see changes in IAM
  STACKCTL_LOCAL_EC2_DELAY_MS  time until EC2 lists a new instance
  STACKCTL_LOCAL_ANALYTICS     retired: no new SQL applications, as in AWS; or open
  STACKCTL_LOCAL_TROUBLE       faults as JSON: {\"rules\": [{\"what\": \"throttle\", \"on\": \"iam:*\", \"chance\": 0.1}]}
                               what: throttle internal unavailable reset-before reset-after slow html truncated
                               empty quota denied hold-before hold-after; which: on, only (reads, writes),
                               calls, per (operation, resource), chance, times; ms for slow
  STACKCTL_LOCAL_SEED          repeats what was left to chance

While it runs: POST an experiment to /_local/trouble (GET shows what came of it), {\"call\": N} or {} to
/_local/trouble/release, {\"what\": \"spot-interruption\", \"to\": \"i-1\"} to /_local/happen (or instance-failure,
function-failure, function-idle, application-stop, mapping-disabled); GET /_local/journal lists all calls.";

/// Arguments of `import-terraform`.
#[derive(Debug, Clone, Args)]
pub struct ImportTerraformArgs {
    /// State file, version 4, or the output of `terraform show -json`
    #[arg(value_name = "TFSTATE")]
    pub state: PathBuf,
    /// Write the stack file here instead of printing it; the file must not exist
    #[arg(long, value_name = "FILE", env = "STACKCTL_WRITE")]
    pub write: Option<PathBuf>,
    /// Name of the stack [default: that of the state file or its folder]
    #[arg(long, value_name = "NAME", env = "STACKCTL_NAME")]
    pub name: Option<String>,
}

/// What can be done with the local cloud.
#[derive(Debug, Clone, Subcommand)]
pub enum LocalCommand {
    /// Serve the local cloud to boto3, the AWS CLI and other programs until interrupted
    #[command(after_long_help = EXPERIMENTS)]
    Serve {
        /// Port on 127.0.0.1; 0 takes a free one
        #[arg(long, default_value_t = 4599, env = "STACKCTL_LOCAL_PORT")]
        port: u16,
    },
    /// Print the messages that topics would have sent; nothing leaves this machine
    Outbox(OutboxArgs),
    /// Print what a function wrote to its log
    Logs(LogsArgs),
    /// Delete everything in the local cloud
    Reset,
}

/// Arguments of `local outbox`.
#[derive(Debug, Clone, Args)]
pub struct OutboxArgs {
    /// Go on with what is sent from now on
    #[arg(short, long)]
    pub follow: bool,
    /// How to print the messages; with --follow, JSON has one on each line
    #[arg(long, value_enum, default_value_t = RunFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: RunFormat,
}

/// Arguments of `local logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// Name of the function
    #[arg(value_name = "FUNCTION")]
    pub function: String,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Only what is no older than this (10m), or since a moment (2026-01-31T12:00:00Z)
    #[arg(long, value_name = "TIME", env = "STACKCTL_SINCE")]
    pub since: Option<String>,
    /// How to print the lines; with --follow, JSON has one on each line
    #[arg(long, value_enum, default_value_t = RunFormat::Text, env = "STACKCTL_FORMAT")]
    pub format: RunFormat,
}

/// How plans are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// For pull requests
    Markdown,
}

/// How runs and lists are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Tools that can take a stack over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A template and a list of what to import into it
    Cloudformation,
    /// Import blocks, for Terraform 1.5 or later and OpenTofu
    TerraformImport,
}

/// How graphs are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Graphviz
    Dot,
    /// Mermaid
    Mermaid,
}
