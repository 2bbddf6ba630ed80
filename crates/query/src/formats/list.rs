//! The objects of a location: one file, a folder with all below it, or a glob.

use super::partitions::folder_value;
use super::store_error;
use arrow::datatypes::Field;
use datafusion::common::ScalarValue;
use futures::{StreamExt, TryStreamExt};
use glob::{MatchOptions, Pattern};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Objects of one location.
pub const FILES_MAX: usize = 1_000_000;
/// Patterns that `{a,b}` in one glob may make.
const PATTERNS_MAX: usize = 1_000;
/// Folders listed at the same time.
const LISTINGS_MAX: usize = 16;

/// Finds the objects of a location, sorted by path. Names that begin with `_` or `.` and empty objects are passed
/// over; a location with nothing in it gives an empty list.
pub async fn list_files(store: &Arc<dyn ObjectStore>, location: &str) -> Result<Vec<ObjectMeta>> {
    let location = location.trim_start_matches('/');
    if is_glob(location) {
        return list_glob(store, location).await;
    }
    let folder = location.trim_end_matches('/');
    if !folder.is_empty() && !location.ends_with('/') {
        match store.head(&path_of(folder)?).await {
            Ok(meta) => return Ok(vec![meta]),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(store_error(error, location)),
        }
    }
    let root = path_of(folder)?;
    let files = list_below(store, &root, location).await?;
    sorted(files.into_iter().filter(|meta| is_data(relative(&root, &meta.location))).collect(), location)
}

/// Like [`list_files`] for a folder partitioned by `columns`; folders of the first ones that a value is wanted of
/// (`wanted[i]` for `columns[i]`) are chosen before anything below them is listed.
pub async fn list_partitioned(
    store: &Arc<dyn ObjectStore>,
    location: &str,
    columns: &[Field],
    wanted: &[Option<ScalarValue>],
) -> Result<Vec<ObjectMeta>> {
    let leading: Vec<_> = columns.iter().zip(wanted).map_while(|(c, w)| w.as_ref().map(|w| (c, w))).collect();
    if leading.is_empty() || is_glob(location) {
        return list_files(store, location).await;
    }
    let mut folders = vec![path_of(location.trim_matches('/'))?];
    for (column, value) in leading {
        let mut matching = Vec::new();
        for folder in &folders {
            let listed = store.list_with_delimiter(Some(folder)).await.map_err(|e| store_error(e, location))?;
            matching.extend(listed.common_prefixes.into_iter().filter(|below| {
                let found = below.filename().and_then(|name| folder_value(name, column).ok().flatten());
                // A folder that cannot be read stays: the scan tells about it.
                found.is_none_or(|found| found == *value)
            }));
        }
        folders = matching;
    }
    let listings =
        futures::stream::iter(folders).map(|folder| async move { list_below(store, &folder, location).await });
    let found: Vec<Vec<ObjectMeta>> = listings.buffered(LISTINGS_MAX).try_collect().await?;
    let root = path_of(location.trim_matches('/'))?;
    let kept = found.into_iter().flatten().filter(|meta| is_data(relative(&root, &meta.location)));
    sorted(kept.collect(), location)
}

/// The path of an object under a folder, without the slash between.
pub fn relative<'a>(root: &Path, path: &'a Path) -> &'a str {
    let path = path.as_ref();
    path.strip_prefix(root.as_ref()).map_or(path, |rest| rest.trim_start_matches('/'))
}

/// The folder that Hive partitions of a location are under: the location itself, for a glob the part before its
/// first special character.
pub fn root_of(location: &str) -> &str {
    let location = location.trim_start_matches('/');
    let end = match location.find(['*', '?', '[', '{']) {
        Some(at) => location.get(..at).and_then(|head| head.rfind('/')).unwrap_or(0),
        None => location.len(),
    };
    location.get(..end).unwrap_or_default().trim_end_matches('/')
}

fn is_glob(location: &str) -> bool {
    location.contains(['*', '?', '[', '{'])
}

fn path_of(text: &str) -> Result<Path> {
    Path::parse(text).map_err(|e| Error::new(Kind::InvalidParameter, format!("location \"{text}\": {e}")))
}

async fn list_glob(store: &Arc<dyn ObjectStore>, location: &str) -> Result<Vec<ObjectMeta>> {
    let patterns = patterns(location)?;
    let root = path_of(root_of(location))?;
    let files = list_below(store, &root, location).await?;
    // What the pattern's fixed part spells out may begin with `_`; what the wildcards find may not.
    let kept = files.into_iter().filter(|meta| {
        let path = meta.location.as_ref();
        patterns.iter().any(|p| p.matches_with(path, MATCH)) && is_data(relative(&root, &meta.location))
    });
    sorted(kept.collect(), location)
}

/// `*` and `?` stay within a folder, as in a shell.
const MATCH: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

fn patterns(location: &str) -> Result<Vec<Pattern>> {
    let bad = |e: String| Error::new(Kind::InvalidParameter, format!("location \"{location}\": {e}"));
    let compile = |text: &String| Pattern::new(text).map_err(|e| bad(e.to_string()));
    expand_braces(location).map_err(|e| bad(e.to_string()))?.iter().map(compile).collect()
}

/// `a{b,c}d` to `abd` and `acd`, also nested.
fn expand_braces(text: &str) -> Result<Vec<String>, &'static str> {
    let mut open = vec![text.to_string()];
    let mut plain = Vec::new();
    while let Some(text) = open.pop() {
        let Some(start) = text.find('{') else {
            plain.push(text);
            continue;
        };
        let (head, body) = text.split_at(start);
        let (choices, tail) = choices(body).ok_or("a { has no }")?;
        open.extend(choices.iter().map(|choice| format!("{head}{choice}{tail}")));
        if open.len() + plain.len() > PATTERNS_MAX {
            return Err("the braces make more than 1000 patterns");
        }
    }
    plain.sort();
    Ok(plain)
}

/// The choices of a group that `body` begins with, and what follows it.
fn choices(body: &str) -> Option<(Vec<&str>, &str)> {
    let mut depth = 0;
    let mut from = 1;
    let mut found = Vec::new();
    for (at, c) in body.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                found.push(body.get(from..at)?);
                from = at + 1;
            }
            '}' if depth == 1 => {
                found.push(body.get(from..at)?);
                return Some((found, body.get(at + 1..)?));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

async fn list_below(store: &Arc<dyn ObjectStore>, root: &Path, location: &str) -> Result<Vec<ObjectMeta>> {
    let prefix = Some(root).filter(|p| !p.as_ref().is_empty());
    let mut listing = store.list(prefix);
    let mut files = Vec::new();
    while let Some(meta) = listing.try_next().await.map_err(|e| store_error(e, location))? {
        if meta.size > 0 {
            files.push(meta);
        }
        if files.len() > FILES_MAX {
            let message = format!("location \"{location}\" holds more than {FILES_MAX} objects");
            return Err(Error::new(Kind::ProgramLimit, message).hint("name a narrower folder or glob"));
        }
    }
    Ok(files)
}

/// Markers, temporary files and hidden folders are no data: `_SUCCESS`, `_temporary/…`, `.part.crc`.
fn is_data(relative: &str) -> bool {
    // `_col=1` is a partition, not a marker.
    relative.split('/').all(|name| !name.starts_with('.') && (!name.starts_with('_') || name.contains('=')))
}

fn sorted(mut files: Vec<ObjectMeta>, location: &str) -> Result<Vec<ObjectMeta>> {
    if files.len() > FILES_MAX {
        return Err(Error::new(
            Kind::ProgramLimit,
            format!("location \"{location}\" holds more than {FILES_MAX} objects"),
        ));
    }
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    async fn store(paths: &[&str]) -> Arc<dyn ObjectStore> {
        let store = InMemory::new();
        for path in paths {
            store.put(&Path::parse(path).unwrap(), "x".into()).await.unwrap();
        }
        store.put(&Path::from("d/empty.csv"), "".into()).await.unwrap();
        Arc::new(store)
    }

    #[tokio::test]
    async fn locations_find_their_files() {
        let paths =
            ["d/a.csv", "d/b.json", "d/_SUCCESS", "d/.hid/x.csv", "d/y=1/m=2/c.csv", "d2/z.csv", "d/y=2/m=2/c.csv"];
        let store = store(&paths).await;
        let cases: [(&str, &[&str]); 10] = [
            ("d/a.csv", &["d/a.csv"]),
            ("d", &["d/a.csv", "d/b.json", "d/y=1/m=2/c.csv", "d/y=2/m=2/c.csv"]),
            ("d/", &["d/a.csv", "d/b.json", "d/y=1/m=2/c.csv", "d/y=2/m=2/c.csv"]),
            ("d/*.csv", &["d/a.csv"]),
            ("d/*.{csv,json}", &["d/a.csv", "d/b.json"]),
            ("d/**/*.csv", &["d/a.csv", "d/y=1/m=2/c.csv", "d/y=2/m=2/c.csv"]),
            ("/d/?.json", &["d/b.json"]),
            ("d/y=[1]/m=2/*", &["d/y=1/m=2/c.csv"]),
            ("d*/*.csv", &["d/a.csv", "d2/z.csv"]),
            ("none", &[]),
        ];
        for (location, expected) in cases {
            let found = list_files(&store, location).await.unwrap();
            let found: Vec<&str> = found.iter().map(|meta| meta.location.as_ref()).collect();
            assert_eq!(found, expected, "{location}");
        }
        assert!(list_files(&store, "d/{a").await.is_err());
    }

    #[tokio::test]
    async fn folders_are_pruned_before_listing() {
        use arrow::datatypes::DataType;
        let store = store(&["t/y=1/m=01/a", "t/y=1/m=2/b", "t/y=2/m=01/c"]).await;
        let columns = [Field::new("y", DataType::Int32, true), Field::new("m", DataType::Int32, true)];
        let wanted = [Some(ScalarValue::Int32(Some(1))), Some(ScalarValue::Int32(Some(1)))];
        let found = list_partitioned(&store, "t", &columns, &wanted).await.unwrap();
        let found: Vec<&str> = found.iter().map(|meta| meta.location.as_ref()).collect();
        assert_eq!(found, ["t/y=1/m=01/a"]);
    }

    #[test]
    fn roots_and_braces() {
        assert_eq!(root_of("a/b/*.csv"), "a/b");
        assert_eq!(root_of("a/b{1,2}/c"), "a");
        assert_eq!(root_of("a/b/"), "a/b");
        assert_eq!(expand_braces("x{a,b{1,2}}y").unwrap(), ["xay", "xb1y", "xb2y"]);
    }
}
