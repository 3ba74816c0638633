//! The bill of materials that `scripts/sbom` writes says what the program is made of, and
//! nothing of the machine that it was made on.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use serde_json::Value;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[test]
#[ignore = "scripts/sbom writes the file that CSC_SBOM names, and runs this"]
fn the_bill_of_materials_names_the_program_and_all_that_is_in_it() {
    let file = std::env::var("CSC_SBOM").expect("CSC_SBOM names the file");
    let written = std::fs::read_to_string(file).unwrap();
    let bill: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(text(&bill, "bomFormat"), "CycloneDX");
    assert_eq!(text(&bill, "specVersion"), "1.5");
    let program = &bill["metadata"]["component"];
    assert_eq!(text(program, "name"), "csc-sender");
    assert_eq!(text(program, "version"), env!("CARGO_PKG_VERSION"));

    let components: BTreeMap<&str, &Value> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| (text(component, "name"), component))
        .collect();
    // What is compiled into it from C, and what speaks to the outside; Windows' part too.
    for name in [
        "curl",
        "curl-sys",
        "openssl-src",
        "rusqlite",
        "libsqlite3-sys",
        "mssql-tds",
        "tokio-postgres",
        "rustls",
        "schannel",
        "windows-native-keyring-store",
        "csc-payload",
        "csc-receiver",
    ] {
        assert!(components.contains_key(name), "{name} is missing");
    }
    // What only tests are made of is not in it.
    for name in ["insta", "proptest", "criterion"] {
        assert!(!components.contains_key(name), "{name} is in it");
    }
    for (name, component) in &components {
        assert!(!text(component, "version").is_empty(), "{name}");
        let package = text(component, "purl");
        assert!(package.starts_with("pkg:cargo/"), "{name}: {package}");
        let licences = component["licenses"].as_array().map_or(0, Vec::len);
        assert!(licences > 0, "{name} has no licence");
        let is_ours = name.starts_with("csc-");
        assert_eq!(component.get("hashes").is_none(), is_ours, "{name}");
    }

    // A place on the machine that it was made on: only those of our own crates stand in
    // it, and they begin with the root of the repository.
    for (at, _) in written.match_indices("file://") {
        let path = &written[at + "file://".len()..];
        let is_ours = ["/crates/", "."].iter().any(|p| path.starts_with(p));
        assert!(is_ours, "{}", &path[..path.len().min(60)]);
    }
    let root = env!("CARGO_MANIFEST_DIR").trim_end_matches("crates/cli");
    assert!(!written.contains(root), "it names {root}");
    for name in ["HOME", "CARGO_HOME"] {
        let folder = std::env::var(name).unwrap_or_default();
        let says_something = folder.len() > 1;
        assert!(
            !(says_something && written.contains(&folder)),
            "it names {folder}"
        );
    }
}
