//! The Python that a stack ships, the Lambda functions and the producer, tested by its own tests.

use assert_cmd::Command;

fn passes(folder: &str) {
    let mut command = Command::new("python3");
    // Byte code would end up in the folders that stacks zip.
    command.args(["-B", "-m", "unittest", "discover", "-s", folder]).env("PYTHONDONTWRITEBYTECODE", "1");
    let output =
        command.output().unwrap_or_else(|error| panic!("could not run python3, which {folder} needs: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "python3 -m unittest discover -s {folder}\n{told}");
    assert!(!told.contains("Ran 0 tests"), "{folder} has no tests\n{told}");
}

#[test]
fn the_functions_pass_their_tests() {
    passes("lambdas/tests");
}

#[test]
fn the_producer_passes_its_tests() {
    passes("userdata/tests");
}
