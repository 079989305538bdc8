//! Key pairs: names and fingerprints. The private half of a created pair is a placeholder that opens nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::{Call, Fault, Outcome, Tx, Xml};
use super::query::{Listing, page, select};
use super::{KEYS, Row, answer, fault, invalid, new_id, required, rows, tag, time};

const LISTING: Listing = Listing {
    set: "keySet",
    ids: "KeyPairId",
    key: "keyPairId",
    filters: &[
        ("key-pair-id", "keyPairId"),
        ("key-name", "keyName"),
        ("fingerprint", "keyFingerprint"),
        ("key-type", "keyType"),
    ],
    not_found: "InvalidKeyPair.NotFound",
    malformed: "",
};

/// `CreateKeyPair`.
pub(super) fn create(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let kind = call.params().get("KeyType").unwrap_or("rsa");
    if !matches!(kind, "rsa" | "ed25519") {
        return Err(invalid(format!("Value ({kind}) for parameter KeyType is invalid.")));
    }
    let row = add(tx, call, kind, new_id("seed").as_bytes())?;
    let material = "-----BEGIN PRIVATE KEY-----\nmade by the local cloud, opens nothing\n-----END PRIVATE KEY-----";
    answer(row.xml().text("keyMaterial", material))
}

/// `ImportKeyPair`.
pub(super) fn import(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let bad = || fault("InvalidKey.Format", "Key is not in valid OpenSSH public key format");
    let material = STANDARD.decode(required(call, "PublicKeyMaterial")?).map_err(|_| bad())?;
    let text = String::from_utf8(material).map_err(|_| bad())?;
    let mut words = text.split_whitespace();
    let kind = match words.next() {
        Some("ssh-rsa") => "rsa",
        Some("ssh-ed25519") => "ed25519",
        _ => return Err(bad()),
    };
    let blob = words.next().and_then(|word| STANDARD.decode(word).ok()).ok_or_else(bad)?;
    let row = add(tx, call, kind, &blob)?;
    answer(row.xml())
}

fn add(tx: &mut Tx<'_>, call: &Call, kind: &str, blob: &[u8]) -> Result<Row, Fault> {
    let name = required(call, "KeyName")?;
    if name.len() > 255 || !name.is_ascii() {
        return Err(invalid("The key pair name must be at most 255 ASCII characters"));
    }
    if tx.has(KEYS, name)? {
        return Err(fault("InvalidKeyPair.Duplicate", format!("The keypair already exists: {name}")));
    }
    let id = new_id("key");
    let fingerprint = STANDARD.encode(Sha256::digest(blob));
    let view = json!({
        "keyPairId": id, "keyName": name, "keyType": kind, "keyFingerprint": fingerprint, "createTime": time(call.now),
    });
    let mut row = Row::new(call, &format!("key-pair/{id}"), view);
    row.tags = tag::specified(call.params(), "key-pair", &["key-pair"])?;
    tx.put(KEYS, name, &row)?;
    Ok(row)
}

/// Faults when a key pair does not exist.
pub(super) fn must_exist(tx: &Tx<'_>, name: &str) -> Result<(), Fault> {
    if tx.has(KEYS, name)? {
        return Ok(());
    }
    Err(fault("InvalidKeyPair.NotFound", format!("The key pair '{name}' does not exist")))
}

/// `DescribeKeyPairs`.
pub(super) fn describe(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let names = call.params().texts("KeyName");
    for name in &names {
        must_exist(tx, name)?;
    }
    let chosen = select(call, rows(tx, KEYS)?, &LISTING)?;
    let chosen =
        chosen.into_iter().filter(|row| names.is_empty() || names.iter().any(|name| name == row.text("keyName")));
    let (page, _) = page(call, chosen.collect(), LISTING.key)?;
    answer(Xml::new().list(LISTING.set, "item", page.iter().map(Row::xml)))
}

/// `DeleteKeyPair`: a pair that does not exist is no error.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let all = rows(tx, KEYS)?;
    let (name, id) = (call.params().get("KeyName"), call.params().get("KeyPairId"));
    let found = all.iter().find(|row| name == Some(row.text("keyName")) || id == Some(row.text("keyPairId")));
    if let Some(row) = found {
        tx.delete(KEYS, row.text("keyName"))?;
    }
    answer(Xml::new().text("return", true).maybe("keyPairId", found.map(|row| row.text("keyPairId"))))
}
