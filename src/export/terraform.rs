//! `import` blocks for Terraform 1.5 or later, and OpenTofu.

use std::collections::BTreeSet;

use super::{Export, Missing, own};
use crate::live::Live;
use crate::stack::Stack;

/// Writes import blocks for all objects of a stack.
#[must_use]
pub fn terraform(stack: &Stack, live: &Live) -> Export {
    let mut export = Export::default();
    let mut text = format!(
        "# What the stack {} has in AWS. With a provider \"aws\" for its region in this folder:\n\
         #   terraform plan -generate-config-out=generated.tf\n\
         # writes the resources; secrets and code are not in AWS's answers and have to be filled in there.\n",
        stack.name
    );
    let mut taken = BTreeSet::new();
    for resource in stack.resources.values() {
        match blocks(stack, live, resource, &mut taken) {
            Ok(blocks) => {
                export.count += 1;
                text.push_str(&blocks);
            }
            Err(missing) => export.missing.push(missing),
        }
    }
    export.files = vec![("import.tf", text)];
    export
}

fn blocks(
    stack: &Stack,
    live: &Live,
    resource: &crate::stack::Resource,
    taken: &mut BTreeSet<String>,
) -> Result<String, Missing> {
    let found = own(stack, live, resource)?;
    let peer = resource.kind.peers().terraform;
    let imports = (peer.ok_or_else(|| Missing::new(resource, "Terraform has no such type"))?.imports)(found);
    if imports.is_empty() {
        return Err(Missing::new(resource, "it has no identifier yet"));
    }
    let block = |import: crate::kind::Import| {
        let name = name(&resource.id, &import.part);
        let mut address = format!("{}.{name}", import.kind);
        let mut number = 2;
        while !taken.insert(address.clone()) {
            address = format!("{}.{name}_{number}", import.kind);
            number += 1;
        }
        format!("\nimport {{\n  to = {address}\n  id = {}\n}}\n", quoted(&import.id))
    };
    Ok(imports.into_iter().map(block).collect())
}

fn name(id: &str, part: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() || "_-".contains(letter) { letter } else { '_' };
    let part: String = part.chars().map(letter).collect();
    if part.is_empty() { id.to_owned() } else { format!("{id}_{part}") }
}

/// Writes a text as HCL does; `${` and `%{` would begin a template.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{}\"", text.replace("${", "$${").replace("%{", "%%{"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_those_of_hcl() {
        assert_eq!(name("role", "read.only"), "role_read_only");
        assert_eq!(name("role", ""), "role");
        assert_eq!(quoted("a\"${b}\\%{c}\n"), r#""a\"$${b}\\%%{c}\n""#);
    }
}
