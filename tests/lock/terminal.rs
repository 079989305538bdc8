//! The lease while the user thinks about the plan, on a terminal.

use std::process::{Command, Stdio};

use super::{QUICK, World};
use crate::support::sandbox::Sandbox;

/// Runs a program on a terminal: waits for a question, does something, answers.
const TERMINAL: &str = r#"
import os, pty, signal, sys, time
wait, answer, program = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(program[0], program)
text, asked = b"", False
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    text += part
    if b"accepted" in text and not asked:
        asked = True
        time.sleep(wait)
        os.kill(pid, signal.SIGINT) if answer == "INT" else os.write(terminal, answer.encode() + b"\n")
_, status = os.waitpid(pid, 0)
sys.stdout.write(text.decode())
sys.exit(os.waitstatus_to_exitcode(status))
"#;

fn on_terminal(sandbox: &Sandbox, wait: &str, answer: &str) -> Command {
    let program = sandbox.command();
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, wait, answer]).arg(program.get_program()).arg("apply");
    command.current_dir(sandbox.dir()).env_clear();
    for (name, value) in program.get_envs() {
        command.env(name, value.unwrap());
    }
    command.stdout(Stdio::piped());
    command
}

#[test]
fn the_lease_is_kept_while_the_user_thinks() {
    let world = World::new(&QUICK.replace("ttl: 30s", "ttl: 5s"), "0");
    let thinking = on_terminal(&world.sandbox, "8", "yes").spawn().unwrap();
    while world.lease()["held"] == false {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // Longer than the lease lasts without a renewal.
    std::thread::sleep(std::time::Duration::from_secs(6));
    world.sandbox.run(&["apply", "-y"]).code(1).has("stack demo is held by another run");
    let output = thinking.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("2 added"), "{text}");
    assert_eq!(world.lease()["held"], false);
}

#[test]
fn an_interrupt_while_the_user_thinks_gives_the_lease_back() {
    let world = World::new(QUICK, "0");
    let output = on_terminal(&world.sandbox, "0.5", "INT").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("interrupted: nothing was changed"), "{text}");
    let lease = world.lease();
    assert_eq!((&lease["held"], &lease["lease"]["token"]), (&false.into(), &1.into()));
}
