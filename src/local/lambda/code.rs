//! Deployment packages: checked as zip files, hashed and kept.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::super::store::Table;
use super::super::{Fault, Tx};
use super::function::Function;
use super::{invalid, text};

/// Zip files of functions in base64, by function name.
pub(super) const ARCHIVES: Table = Table::regional("lambda.code");

const LARGEST_REQUEST: usize = 70_167_211;
const LARGEST_UNZIPPED: u64 = 262_144_000;

/// Reads and checks the zip file of a request.
pub(super) fn read(code: &Value, operation: &str) -> Result<Vec<u8>, Fault> {
    if text(code, "S3Bucket").is_some() {
        return Err(invalid(
            "Error occurred while GetObject. S3 Error Code: NoSuchBucket. The local cloud has no S3: send ZipFile",
        ));
    }
    let encoded = text(code, "ZipFile").ok_or_else(|| invalid("Please provide a source for function code."))?;
    if encoded.len() > LARGEST_REQUEST {
        let text = format!("Request must be smaller than {LARGEST_REQUEST} bytes for the {operation} operation");
        return Err(Fault::with_status(413, "RequestEntityTooLargeException", text));
    }
    let broken = "Could not unzip uploaded file. Please check your file, then try to upload again.";
    let bytes = STANDARD.decode(encoded).map_err(|_| invalid(broken))?;
    let mut archive = ZipArchive::new(Cursor::new(&bytes)).map_err(|_| invalid(broken))?;
    if archive.is_empty() {
        return Err(invalid("Uploaded file must be a non-empty zip"));
    }
    let mut unzipped = 0_u64;
    for index in 0..archive.len() {
        unzipped = unzipped.saturating_add(archive.by_index_raw(index).map_err(|_| invalid(broken))?.size());
    }
    if unzipped > LARGEST_UNZIPPED {
        return Err(invalid(format!("Unzipped size must be smaller than {LARGEST_UNZIPPED} bytes")));
    }
    Ok(bytes)
}

/// Keeps a checked zip file and notes its hash and size.
pub(super) fn keep(tx: &mut Tx<'_>, function: &mut Function, bytes: &[u8]) -> Result<(), Fault> {
    function.configuration.insert("CodeSha256".to_owned(), json!(STANDARD.encode(Sha256::digest(bytes))));
    function.configuration.insert("CodeSize".to_owned(), json!(bytes.len()));
    tx.put(ARCHIVES, function.name(), &STANDARD.encode(bytes))
}

/// Returns the zip file of a function.
pub(super) fn load(tx: &Tx<'_>, name: &str) -> Result<Vec<u8>, Fault> {
    let encoded: Option<String> = tx.get(ARCHIVES, name)?;
    STANDARD.decode(encoded.unwrap_or_default()).map_err(|_| invalid("The stored code cannot be read"))
}
