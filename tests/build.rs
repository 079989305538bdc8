//! How the program is built: one build of its dependencies has to serve the program and its tests.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::support::sandbox::project;

/// Returns the features of each package, once for each way in which it is built.
fn features(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}|{f}", "--edges", edges]);
    let output = command.current_dir(project()).output().unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (package, features) = line.trim_end_matches(" (*)").split_once('|').unwrap();
        found.entry(package.to_owned()).or_default().insert(features.to_owned());
    }
    found
}

#[test]
fn tests_turn_on_no_features() {
    let (program, tests) = (features("normal,build"), features("normal,build,dev"));
    let differ = |(package, own): (&String, &BTreeSet<String>)| {
        let other = tests.get(package).filter(|other| *other != own)?;
        Some(format!("{package} has {own:?}, in tests {other:?}"))
    };
    let wrong: Vec<_> = program.iter().filter_map(differ).collect();
    assert!(program.len() > 200, "{}", program.len());
    let help = "add each to [dependencies] of Cargo.toml, under \"Not used by name\", with the features of the tests";
    assert!(wrong.is_empty(), "the AWS clients would be built twice; {help}:\n{}", wrong.join("\n"));
}

/// Returns the shared libraries that an ELF file of 64 bits asks the loader for.
fn libraries(program: &[u8]) -> Vec<String> {
    let number = |at: usize, width: usize| {
        let bytes = program[at..at + width].iter().rev();
        usize::try_from(bytes.fold(0_u64, |number, byte| number << 8 | u64::from(*byte))).unwrap()
    };
    assert_eq!(program[..6], *b"\x7fELF\x02\x01", "not 64 bits, little-endian");
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    let segments: Vec<usize> = (0..count).map(|at| table + at * size).collect();
    let dynamic = segments.iter().find(|at| number(**at, 4) == 2).expect("a dynamic section");
    let (start, length) = (number(dynamic + 8, 8), number(dynamic + 32, 8));
    let entries: Vec<(usize, usize)> =
        (start..start + length).step_by(16).map(|at| (number(at, 8), number(at + 8, 8))).collect();
    let texts = entries.iter().find(|(tag, _)| *tag == 5).expect("a table of texts").1;
    let is_around = |at: &&usize| {
        number(**at, 4) == 1 && (0..number(**at + 32, 8)).contains(&(texts.wrapping_sub(number(**at + 16, 8))))
    };
    let around = segments.iter().find(is_around).expect("the segment of the texts");
    let texts = texts - number(around + 16, 8) + number(around + 8, 8);
    let needed = entries.iter().filter(|(tag, _)| *tag == 1);
    let text = |at: usize| program[at..].iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    needed.map(|(_, at)| text(texts + at)).collect()
}

#[cfg(all(target_os = "linux", target_pointer_width = "64", target_endian = "little"))]
#[test]
fn the_program_needs_no_openssl() {
    let libraries = libraries(&fs_err::read(env!("CARGO_BIN_EXE_stackctl")).unwrap());
    assert!(libraries.iter().any(|name| name.starts_with("libc.")), "nothing is linked: {libraries:?}");
    let others = libraries
        .iter()
        .filter(|name| !["libc.", "libm.", "libgcc_s.", "ld-linux"].iter().any(|known| name.starts_with(known)));
    assert_eq!(
        others.collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "TLS is rustls, and the binary needs no more than libc"
    );
    let lock = fs_err::read_to_string(project().join("Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"rustls\""));
    for package in ["openssl", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{package}\"")), "{package}");
    }
}
