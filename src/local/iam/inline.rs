//! Inline policies of roles: `facts/aws.md` 5.

use crate::local::constraint::Constraints;
use crate::local::{Call, Fault, Tx, Xml};

use super::tags::Tagged as _;
use super::{Operation, document, role, wire};

const MOST: usize = 10_240;

pub(super) const OPERATIONS: &[(&str, Operation)] =
    &[("PutRolePolicy", put), ("GetRolePolicy", get), ("ListRolePolicies", list), ("DeleteRolePolicy", delete)];

fn put(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let text = call.params().get("PolicyDocument");
    let mut check = Constraints::new();
    wire::check_name(&mut check, "RoleName", call.params().get("RoleName"), 64);
    wire::check_name(&mut check, "PolicyName", call.params().get("PolicyName"), 128);
    wire::check_document(&mut check, "PolicyDocument", text);
    check.done("ValidationError")?;
    let mut role = role::named(tx, call)?;
    let text = text.unwrap_or_default();
    document::check_identity(text)?;
    role.inline.insert(wire::name(call, "PolicyName", 128)?.to_owned(), text.to_owned());
    let size: usize = role.inline.values().map(|document| document::size(document)).sum();
    if size > MOST {
        let text = format!("Maximum policy size of {MOST} bytes exceeded for role {}", role.name);
        return Err(wire::conflict("LimitExceeded", text));
    }
    role.save(tx)?;
    Ok(Xml::new())
}

fn get(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let role = role::named(tx, call)?;
    let name = wire::name(call, "PolicyName", 128)?;
    let text = role.inline.get(name).ok_or_else(|| not_found(name))?;
    let answer = Xml::new().text("RoleName", &role.name).text("PolicyName", name);
    Ok(answer.text("PolicyDocument", wire::encode(text)))
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let role = role::named(tx, call)?;
    let names = role.inline.into_keys().map(|name| (name.clone(), name)).collect();
    let (names, tail) = wire::page(call, names)?;
    Ok(Xml::new().texts("PolicyNames", "member", names).and(tail))
}

fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut role = role::named(tx, call)?;
    let name = wire::name(call, "PolicyName", 128)?;
    role.inline.remove(name).ok_or_else(|| not_found(name))?;
    role.save(tx)?;
    Ok(Xml::new())
}

fn not_found(name: &str) -> Fault {
    wire::missing(format!("The role policy with name {name} cannot be found."))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, GRANT, TRUST, texts};

    const ROLE: (&str, &str) = ("RoleName", "r");
    const NAME: (&str, &str) = ("PolicyName", "p");

    fn with_role() -> Bench {
        let bench = Bench::new();
        bench.ok("CreateRole", &[ROLE, ("AssumeRolePolicyDocument", TRUST)]);
        bench
    }

    #[test]
    fn policies_are_put_replaced_read_and_deleted() {
        let bench = with_role();
        bench.ok("PutRolePolicy", &[ROLE, NAME, ("PolicyDocument", GRANT)]);
        bench.ok("PutRolePolicy", &[ROLE, NAME, ("PolicyDocument", &GRANT.replace("kinesis", "sns"))]);
        assert!(bench.ok("GetRolePolicy", &[ROLE, NAME]).contains("sns%3A%2A"));
        assert_eq!(texts(&bench.ok("ListRolePolicies", &[ROLE]), "member"), ["p"]);
        bench.ok("DeleteRolePolicy", &[ROLE, NAME]);
        assert_eq!(bench.code("DeleteRolePolicy", &[ROLE, NAME]), "NoSuchEntity");
        assert_eq!(bench.code("GetRolePolicy", &[ROLE, NAME]), "NoSuchEntity");
    }

    #[test]
    fn bad_documents_and_missing_roles_are_refused() {
        let bench = with_role();
        let put = |text: &str| bench.code("PutRolePolicy", &[ROLE, NAME, ("PolicyDocument", text)]);
        assert_eq!(put("{"), "MalformedPolicyDocument");
        assert_eq!(put(TRUST), "MalformedPolicyDocument");
        assert_eq!(put(&GRANT.replace("kinesis", "\u{2026}")), "ValidationError", "only Latin-1 letters");
        let other = [("RoleName", "no"), NAME, ("PolicyDocument", GRANT)];
        assert_eq!(bench.code("PutRolePolicy", &other), "NoSuchEntity");
    }

    #[test]
    fn all_inline_policies_of_a_role_share_one_limit() {
        let bench = with_role();
        let big =
            GRANT.replace("\"*\"", &format!("[{}\"*\"]", "\"arn:aws:kinesis:*:*:stream/long-name\",".repeat(140)));
        bench.ok("PutRolePolicy", &[ROLE, NAME, ("PolicyDocument", &big)]);
        let second = [ROLE, ("PolicyName", "q"), ("PolicyDocument", &big)];
        assert_eq!(bench.code("PutRolePolicy", &second), "LimitExceeded");
        let spaces = GRANT.replace(',', &format!(",{}", " ".repeat(20_000)));
        bench.ok("PutRolePolicy", &[ROLE, ("PolicyName", "q"), ("PolicyDocument", &spaces)]);
    }
}
