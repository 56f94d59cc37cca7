//! Values of application variables, and the secrets that the host makes for itself.
//!
//! A value comes from the first source that has one: the environment (`SPIN_VARIABLE_NAME`), a file, a
//! generated secret, the default in the manifest. No value is ever written to a log or a message.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

use crate::manifest::{Finding, Generate, Manifest, reader::nearest};

/// What stands before a variable's name in the environment; the name follows in upper case.
const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE_";
/// Bytes of a generated random secret, and of the seed of a signing key.
const SECRET_BYTES: usize = 32;
/// Bytes of a public key, which follow the seed in a signing key.
const PUBLIC_KEY_BYTES: usize = 32;
/// The file of generated secrets within the data directory.
pub const SECRETS_FILE: &str = "secrets.toml";

/// The values of all variables.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<String, String>);

/// Where values come from, the strongest first.
#[derive(Default)]
pub struct Sources {
    /// Environment variables with the prefix, whole names.
    pub environment: BTreeMap<String, String>,
    /// The file named on the command line.
    pub file: BTreeMap<String, String>,
    /// Secrets that the host made.
    pub generated: BTreeMap<String, String>,
}

impl Sources {
    /// Reads the environment and the optional file, and the generated secrets, which are made when
    /// `make` says so and they are missing.
    pub fn read(manifest: &Manifest, file: Option<&Path>, data: &Path, make: Make) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
            .collect();
        let file = match file.map(|path| read_table(path).map_err(|error| (path, error))) {
            None => BTreeMap::new(),
            Some(Ok(values)) => values,
            Some(Err((path, error))) => {
                let text = format!("{error:#}; write lines like name = \"value\"");
                findings.push(Finding { place: path.display().to_string(), text });
                BTreeMap::new()
            }
        };
        let path = data.join(SECRETS_FILE);
        let generated = match generated(manifest, &path, make) {
            Ok(values) => values,
            Err(error) => {
                let text = format!("{error:#}; make the data directory writable or name another with --data");
                findings.push(Finding { place: path.display().to_string(), text });
                BTreeMap::new()
            }
        };
        if findings.is_empty() { Ok(Self { environment, file, generated }) } else { Err(findings) }
    }
}

/// Whether secrets that are missing are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// They are made and kept.
    Missing,
    /// A placeholder stands for them; for commands that only look.
    Nothing,
}

impl Values {
    /// Finds the value of every variable, or says which have none.
    pub fn resolve(manifest: &Manifest, sources: &Sources) -> (Self, Vec<Finding>) {
        let mut values = BTreeMap::new();
        let mut findings = Vec::new();
        for (name, variable) in &manifest.variables {
            let in_environment = format!("{ENVIRONMENT_PREFIX}{}", name.to_uppercase());
            let value = sources
                .environment
                .get(&in_environment)
                .or_else(|| sources.file.get(name))
                .or_else(|| sources.generated.get(name))
                .or(variable.default.as_ref());
            match value {
                Some(value) => {
                    values.insert(name.clone(), value.clone());
                }
                None => findings.push(Finding {
                    place: variable.place.clone(),
                    text: format!(
                        "the variable `{name}` has no value; set {in_environment}, write it to a file for \
                         --variables, or give it a default"
                    ),
                }),
            }
        }
        findings.extend(strangers(manifest, &values));
        let declared = || manifest.variables.keys().map(String::as_str);
        for name in sources.file.keys().filter(|name| !manifest.variables.contains_key(*name)) {
            let advice = nearest(name, declared())
                .map_or_else(|| "add it under [variables]".to_owned(), |near| format!("write `{near}`"));
            findings.push(Finding {
                place: "--variables".into(),
                text: format!("the manifest has no variable `{name}`; {advice}, or remove it"),
            });
        }
        (Self(values), findings)
    }

    /// Tells whether two hosts have the same generated secrets. Nothing is learned from it about a random one.
    pub fn fingerprint(&self, manifest: &Manifest) -> String {
        let mut hasher = Sha256::new();
        for name in manifest.generate.keys() {
            let value = self.0.get(name).map_or("", String::as_str);
            // Lengths, so that no two lists of values look alike.
            hasher.update(format!("{}:{name}{}:{value}", name.len(), value.len()));
        }
        URL_SAFE_NO_PAD.encode(hasher.finalize())
    }

    /// Fills in a template: `{{ name }}` stands for the value of a variable.
    pub fn fill(&self, template: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(start) = rest.find("{{") {
            filled.push_str(&rest[..start]);
            let after = &rest[start + 2..];
            let end = after.find("}}").ok_or("`{{` has no `}}` after it")?;
            let name = after[..end].trim();
            match self.0.get(name) {
                Some(value) => filled.push_str(value),
                None => return Err(format!("there is no variable `{name}`; add it under [variables]")),
            }
            rest = &after[end + 2..];
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Signing keys whose public key is another's: one of the two was given to this host and the other was not.
fn strangers(manifest: &Manifest, values: &BTreeMap<String, String>) -> Vec<Finding> {
    let is_strange = |private: &str, public: &str| {
        let pair = URL_SAFE_NO_PAD.decode(values.get(private)?).ok()?;
        let own = pair.get(SECRET_BYTES..).filter(|own| own.len() == PUBLIC_KEY_BYTES)?;
        Some(URL_SAFE_NO_PAD.encode(own) != *values.get(public)?)
    };
    let finding = |private: &str, public: &str| Finding {
        place: manifest.variables.get(private).map_or_else(String::new, |variable| variable.place.clone()),
        text: format!("`{public}` is not the public key of `{private}`; give both, or neither"),
    };
    manifest
        .generate
        .iter()
        .filter_map(|(name, kind)| match kind {
            Generate::Ed25519 { public } if is_strange(name, public) == Some(true) => Some(finding(name, public)),
            Generate::Ed25519 { .. } | Generate::Random => None,
        })
        .collect()
}

/// Reads the secrets made so far and makes those that are missing.
fn generated(manifest: &Manifest, path: &Path, make: Make) -> Result<BTreeMap<String, String>> {
    let mut values = if path.exists() { read_table(path)? } else { BTreeMap::new() };
    let missing: Vec<_> = manifest.generate.iter().filter(|(name, _)| !values.contains_key(*name)).collect();
    if missing.is_empty() {
        return Ok(values);
    }
    if make == Make::Nothing {
        let names = missing.into_iter().flat_map(|(name, kind)| match kind {
            Generate::Random => vec![name],
            Generate::Ed25519 { public } => vec![name, public],
        });
        let placeholders: Vec<_> = names.map(|name| (name.clone(), String::new())).collect();
        values.extend(placeholders);
        return Ok(values);
    }
    for (name, kind) in missing {
        let mut seed = [0; SECRET_BYTES];
        getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        match kind {
            Generate::Random => {
                values.insert(name.clone(), URL_SAFE_NO_PAD.encode(seed));
            }
            Generate::Ed25519 { public } => {
                let key = SigningKey::from_bytes(&seed);
                values.insert(name.clone(), URL_SAFE_NO_PAD.encode(key.to_keypair_bytes()));
                values.insert(public.clone(), URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes()));
            }
        }
    }
    keep(&values, path)?;
    Ok(values)
}

/// Writes the secrets so that a crash leaves the old file or the new one, readable by its owner alone.
fn keep(values: &BTreeMap<String, String>, path: &Path) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .with_context(|| format!("cannot write {}", draft.display()))?;
    file.write_all(b"# Made by souk on its first start. Whoever reads this file can sign in as anybody.\n")?;
    file.write_all(toml::to_string(values)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(())
}

/// A file of texts by name.
pub fn read_table(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // The parser's own message would quote the line, which may be a secret.
    toml::from_str(&text).map_err(|_| anyhow::anyhow!("{} is not a file of texts by name", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::Path};

    use super::{Make, Sources, Values, generated};
    use crate::manifest::Manifest;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "test"
        [application.tool.souk.generate]
        signing = { kind = "ed25519", public = "verifying" }
        form = { kind = "random" }
        [variables]
        signing = { required = true, secret = true }
        verifying = { required = true }
        form = { required = true, secret = true }
        plain = { default = "default" }
        wanted = { required = true }
    "#;

    fn table(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_strongest_source_wins_and_a_missing_value_is_named() {
        let (manifest, findings) = Manifest::parse("spin.toml", MANIFEST, Path::new(""));
        assert_eq!(findings, []);
        let generated = table(&[("signing", "s"), ("verifying", "v"), ("form", "f")]);
        for (environment, file, plain) in [
            (table(&[]), table(&[]), "default"),
            (table(&[]), table(&[("plain", "file")]), "file"),
            (table(&[("SPIN_VARIABLE_PLAIN", "env")]), table(&[("plain", "file")]), "env"),
        ] {
            let sources = Sources { environment, file, generated: generated.clone() };
            let (values, findings) = Values::resolve(&manifest, &sources);
            assert_eq!(values.fill("<{{ plain }}>{{form}}"), Ok(format!("<{plain}>f")));
            assert_eq!(findings.len(), 1);
            assert!(findings[0].text.contains("SPIN_VARIABLE_WANTED"), "{}", findings[0]);
        }
        let sources = Sources { file: table(&[("plian", "x"), ("wanted", "x")]), generated, ..Sources::default() };
        let (values, findings) = Values::resolve(&manifest, &sources);
        assert!(findings[0].text.contains("write `plain`"), "{}", findings[0]);
        assert!(values.fill("{{ nothing }}").is_err());
        assert!(values.fill("{{ plain").is_err());
    }

    #[test]
    fn secrets_are_made_once_and_for_their_owner_alone() {
        let (manifest, _) = Manifest::parse("spin.toml", MANIFEST, Path::new(""));
        let dir = std::env::temp_dir().join(format!("souk-secrets-{}", std::process::id()));
        let path = dir.join("secrets.toml");
        let placeholders = generated(&manifest, &path, Make::Nothing).expect("reads");
        assert!(placeholders.values().all(String::is_empty) && !path.exists());
        let first = generated(&manifest, &path, Make::Missing).expect("makes secrets");
        assert_eq!(generated(&manifest, &path, Make::Missing).expect("reads"), first);
        assert_eq!(first.keys().collect::<Vec<_>>(), ["form", "signing", "verifying"]);
        assert_eq!((first["signing"].len(), first["verifying"].len(), first["form"].len()), (86, 43, 43));
        let other = generated(&manifest, &dir.join("other.toml"), Make::Missing).expect("makes secrets");
        let mode = std::fs::metadata(&path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_dir_all(&dir).expect("cleans up");

        let resolve = |name: &str, value: &str| {
            let file = table(&[("wanted", "x"), (name, value)]);
            Values::resolve(&manifest, &Sources { file, generated: first.clone(), ..Sources::default() })
        };
        let (values, findings) = resolve("form", &first["form"]);
        assert_eq!(findings, []);
        let fingerprint = values.fingerprint(&manifest);
        assert_eq!(resolve("plain", "other").0.fingerprint(&manifest), fingerprint, "only secrets tell hosts apart");
        assert_ne!(resolve("form", &other["form"]).0.fingerprint(&manifest), fingerprint);
        for half in ["signing", "verifying"] {
            let (_, findings) = resolve(half, &other[half]);
            assert!(findings[0].text.contains("`verifying` is not the public key of `signing`"), "{findings:?}");
        }
    }
}
