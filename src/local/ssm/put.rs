//! Writing and deleting parameters.

use serde_json::{Value, json};

use crate::local::constraint::Constraints;
use crate::local::{Call, Fault, Tx};

use super::{PARAMETERS, Parameter, Version, arn, find, flag, not_found, required, tags, text, texts, validation};

const MOST_LEVELS: usize = 15;
const MOST_VERSIONS: usize = 100;
const MOST_STANDARD: usize = 4096;
const MOST_ADVANCED: usize = 8192;

/// Creates a parameter or adds a version to it.
pub(super) fn put(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    check_fields(call)?;
    let name = required(call, "Name")?;
    check_name(name)?;
    let existing: Option<Parameter> = tx.get(PARAMETERS, name)?;
    let overwrite = flag(call, "Overwrite");
    if overwrite && call.json()["Tags"].as_array().is_some_and(|tags| !tags.is_empty()) {
        return Err(validation(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please \
             remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or \
             RemoveTagsFromResource.",
        ));
    }
    let mut parameter = match existing {
        Some(_) if !overwrite => {
            let text = "The parameter already exists. To overwrite this value, set the overwrite option in the \
                        request to true.";
            return Err(Fault::new("ParameterAlreadyExists", text));
        }
        Some(existing) => existing,
        None => fresh(call, name)?,
    };
    check_kind(call, &parameter)?;
    let version = version(call, &parameter)?;
    let answer = json!({"Version": version.number, "Tier": version.tier});
    if let Some(kind) = text(call, "DataType") {
        kind.clone_into(&mut parameter.data_type);
    }
    check_image(&parameter, &version)?;
    parameter.versions.push(version);
    let surplus = parameter.versions.len().saturating_sub(MOST_VERSIONS);
    parameter.versions.drain(..surplus);
    tx.put(PARAMETERS, name, &parameter)?;
    Ok(answer)
}

fn check_fields(call: &Call) -> Result<(), Fault> {
    let mut check = Constraints::new();
    check.required("name", text(call, "Name"));
    check.length("name", text(call, "Name"), 1, 2048);
    check.required("value", text(call, "Value"));
    check.length("value", text(call, "Value"), 1, MOST_ADVANCED);
    check.one_of("type", text(call, "Type"), &["String", "StringList", "SecureString"]);
    check.one_of("tier", text(call, "Tier"), &["Standard", "Advanced", "Intelligent-Tiering"]);
    check.length("description", text(call, "Description"), 0, 1024);
    check.length("allowedPattern", text(call, "AllowedPattern"), 0, 1024);
    check.length("keyId", text(call, "KeyId"), 1, 256);
    check.one_of("dataType", text(call, "DataType"), &["text", "aws:ec2:image", "aws:ssm:integration"]);
    check.done("ValidationException")
}

fn check_name(name: &str) -> Result<(), Fault> {
    let fits = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-/".contains(letter));
    if !fits || name.ends_with('/') || name.contains("//") {
        return Err(validation(
            "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). If formed as a path, it can \
             consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers \
             and the following 3 symbols .-_",
        ));
    }
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    if name.starts_with('/') && (first.starts_with("aws/") || first.starts_with("ssm/")) {
        return Err(Fault::new("AccessDeniedException", format!("No access to reserved parameter name: {name}.")));
    }
    if first.starts_with("aws") || first.starts_with("ssm") {
        return Err(validation("Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive)."));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(validation("Parameter name must be a fully qualified name."));
    }
    if name.matches('/').count() > MOST_LEVELS {
        let text = format!("The parameter name has more than {MOST_LEVELS} levels.");
        return Err(Fault::new("HierarchyLevelLimitExceededException", text));
    }
    Ok(())
}

fn fresh(call: &Call, name: &str) -> Result<Parameter, Fault> {
    let kind = text(call, "Type");
    let kind = kind.ok_or_else(|| validation("A parameter type is required when you create a parameter."))?;
    Ok(Parameter {
        arn: arn(call, name),
        name: name.to_owned(),
        kind: kind.to_owned(),
        data_type: "text".to_owned(),
        tags: tags::given(call)?,
        versions: Vec::new(),
    })
}

fn check_kind(call: &Call, parameter: &Parameter) -> Result<(), Fault> {
    if text(call, "Type").is_some_and(|kind| kind != parameter.kind) {
        let text =
            format!("The parameter {} has the type {}, which cannot be changed.", parameter.name, parameter.kind);
        return Err(Fault::new("HierarchyTypeMismatchException", text));
    }
    if text(call, "KeyId").is_some() && parameter.kind != "SecureString" {
        return Err(validation("KeyId is required for SecureString type parameter only."));
    }
    Ok(())
}

fn version(call: &Call, parameter: &Parameter) -> Result<Version, Fault> {
    let before = parameter.versions.last();
    let value = required(call, "Value")?.to_owned();
    let kept = |field: &str, of: fn(&Version) -> Option<String>| {
        text(call, field).map(str::to_owned).or_else(|| before.and_then(of))
    };
    let pattern = text(call, "AllowedPattern").filter(|pattern| !pattern.is_empty()).map(str::to_owned);
    check_pattern(pattern.as_deref(), &value)?;
    let key = kept("KeyId", |version| version.key.clone());
    Ok(Version {
        number: before.map_or(1, |before| before.number + 1),
        tier: tier(call, before, &value)?,
        value,
        modified: call.now,
        description: kept("Description", |version| version.description.clone()),
        pattern,
        key: (parameter.kind == "SecureString").then(|| key.unwrap_or_else(|| "alias/aws/ssm".to_owned())),
    })
}

fn check_pattern(pattern: Option<&str>, value: &str) -> Result<(), Fault> {
    let Some(pattern) = pattern else { return Ok(()) };
    let compiled = regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|_| {
        Fault::new("InvalidAllowedPatternException", format!("The allowedPattern '{pattern}' is not a valid regex."))
    })?;
    if compiled.is_match(value) {
        return Ok(());
    }
    let text = format!("Parameter value, cannot be validated against allowedPattern: {pattern}");
    Err(Fault::new("ParameterPatternMismatchException", text))
}

fn tier(call: &Call, before: Option<&Version>, value: &str) -> Result<String, Fault> {
    let large = value.len() > MOST_STANDARD;
    let advanced = before.is_some_and(|before| before.tier == "Advanced");
    match text(call, "Tier") {
        Some("Advanced") => Ok("Advanced".to_owned()),
        Some("Intelligent-Tiering") => Ok(if large || advanced { "Advanced" } else { "Standard" }.to_owned()),
        Some(_) if advanced => Err(validation(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the \
             advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced \
             parameter and recreate it as a standard parameter.",
        )),
        None if advanced => Ok("Advanced".to_owned()),
        _ if large => Err(validation(format!(
            "Standard tier parameters support a maximum parameter value of {MOST_STANDARD} characters. To create a \
             larger parameter value, upgrade the parameter to use the advanced-parameter tier."
        ))),
        _ => Ok("Standard".to_owned()),
    }
}

fn check_image(parameter: &Parameter, version: &Version) -> Result<(), Fault> {
    let image =
        version.value.strip_prefix("ami-").is_some_and(|digits| digits.chars().all(|digit| digit.is_ascii_hexdigit()));
    if parameter.data_type == "aws:ec2:image" && !image {
        return Err(validation(format!("The value {} is not the id of an image.", version.value)));
    }
    Ok(())
}

/// Deletes one parameter, which must exist.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let name = required(call, "Name")?;
    let parameter = find(tx, call, name)?.ok_or_else(|| not_found(name))?;
    if !tx.delete(PARAMETERS, &parameter.name)? {
        return Err(not_found(name));
    }
    Ok(json!({}))
}

/// Deletes up to ten parameters and tells which were there.
pub(super) fn delete_many(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let names = texts(&call.json()["Names"]);
    if !(1..=10).contains(&names.len()) {
        return Err(validation("1 validation error detected: 'names' must have between 1 and 10 members"));
    }
    let (mut deleted, mut invalid) = (Vec::new(), Vec::new());
    for name in names {
        if tx.delete(PARAMETERS, &name)? { &mut deleted } else { &mut invalid }.push(name);
    }
    Ok(json!({"DeletedParameters": deleted, "InvalidParameters": invalid}))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Bench;

    #[test]
    fn writing_again_needs_overwrite_and_counts_versions() {
        let bench = Bench::new();
        bench.put("/a/b", "1");
        let again = json!({"Name": "/a/b", "Value": "2", "Type": "String"});
        assert_eq!(bench.code("PutParameter", &again), "ParameterAlreadyExists");
        let over = bench.ok("PutParameter", &json!({"Name": "/a/b", "Value": "2", "Overwrite": true}));
        assert_eq!(over, json!({"Version": 2, "Tier": "Standard"}));
        let other = json!({"Name": "/a/b", "Value": "2", "Type": "SecureString", "Overwrite": true});
        assert_eq!(bench.code("PutParameter", &other), "HierarchyTypeMismatchException");
    }

    #[test]
    fn names_follow_the_rules() {
        let bench = Bench::new();
        let code = |name: &str| bench.code("PutParameter", &json!({"Name": name, "Value": "v", "Type": "String"}));
        for name in ["", "a b", "a/b", "/a//b", "/a/", "awsome", "SSMthing"] {
            assert_eq!(code(name), "ValidationException", "{name}");
        }
        assert_eq!(code("/aws/service/x"), "AccessDeniedException");
        assert_eq!(code(&"/a".repeat(16)), "HierarchyLevelLimitExceededException");
        bench.put(&"/a".repeat(15), "v");
    }

    #[test]
    fn values_are_checked() {
        let bench = Bench::new();
        let code = |fields: serde_json::Value| {
            let mut body = json!({"Name": "p", "Value": "v", "Type": "String"});
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            bench.code("PutParameter", &body)
        };
        assert_eq!(code(json!({"Value": ""})), "ValidationException");
        assert_eq!(code(json!({"Type": "Text"})), "ValidationException");
        assert_eq!(code(json!({"Value": "x".repeat(4097)})), "ValidationException");
        assert_eq!(code(json!({"Value": "x".repeat(8193), "Tier": "Advanced"})), "ValidationException");
        assert_eq!(code(json!({"AllowedPattern": "["})), "InvalidAllowedPatternException");
        assert_eq!(code(json!({"AllowedPattern": r"\d+"})), "ParameterPatternMismatchException");
        assert_eq!(code(json!({"KeyId": "alias/k"})), "ValidationException");
        assert_eq!(code(json!({"DataType": "aws:ec2:image"})), "ValidationException");
        assert_eq!(bench.code("PutParameter", &json!({"Name": "p", "Value": "v"})), "ValidationException");
    }

    #[test]
    fn tiers_grow_and_never_shrink() {
        let bench = Bench::new();
        let put = |value: String, tier: &str| {
            bench.run(
                "PutParameter",
                &json!({"Name": "p", "Value": value, "Type": "String", "Tier": tier, "Overwrite": true}),
            )
        };
        assert_eq!(put("x".repeat(5000), "Intelligent-Tiering").unwrap()["Tier"], "Advanced");
        assert_eq!(put("x".to_owned(), "Standard").unwrap_err().code, "ValidationException");
    }

    #[test]
    fn tags_come_with_creation_only() {
        let bench = Bench::new();
        let tags = json!([{"Key": "a", "Value": "b"}]);
        bench.ok("PutParameter", &json!({"Name": "p", "Value": "v", "Type": "String", "Tags": tags}));
        let over = json!({"Name": "p", "Value": "v", "Overwrite": true, "Tags": tags});
        assert_eq!(bench.code("PutParameter", &over), "ValidationException");
    }

    #[test]
    fn deleting_tells_what_was_there() {
        let bench = Bench::new();
        bench.put("p", "v");
        bench.put("q", "v");
        bench.ok("DeleteParameter", &json!({"Name": "p"}));
        assert_eq!(bench.code("DeleteParameter", &json!({"Name": "p"})), "ParameterNotFound");
        let many = bench.ok("DeleteParameters", &json!({"Names": ["p", "q"]}));
        assert_eq!(many, json!({"DeletedParameters": ["q"], "InvalidParameters": ["p"]}));
        let ami = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";
        assert_eq!(bench.code("DeleteParameter", &json!({"Name": ami})), "ParameterNotFound");
    }
}
