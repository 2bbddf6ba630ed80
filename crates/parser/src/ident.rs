//! Names as Postgres reads them: unquoted ones fold to lower case, quoted ones stay.

use sqlparser::ast::{Ident, ObjectName};

/// The name that an identifier stands for.
pub fn fold(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// A name in quotes, so that it is read as it is.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The parts of a possibly qualified name, outermost first.
pub fn name_parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().map(|part| part.as_ident().map_or_else(|| part.to_string(), fold)).collect()
}

/// The path that stands at a table's place, as in `FROM 's3://bucket/key'`; quoted either way.
pub fn path_of(name: &ObjectName) -> Option<&str> {
    let [part] = name.0.as_slice() else { return None };
    let ident = part.as_ident()?;
    (ident.quote_style.is_some() && ident.value.contains("://")).then_some(ident.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_as_postgres() {
        let cases =
            [(Ident::new("Clicks"), "clicks"), (Ident::with_quote('"', "Clicks"), "Clicks"), (Ident::new("É"), "É")];
        for (ident, expected) in cases {
            assert_eq!(fold(&ident), expected);
        }
        let name = ObjectName::from(vec![Ident::new("Public"), Ident::with_quote('"', "T.x")]);
        assert_eq!(name_parts(&name), ["public", "T.x"]);
    }

    #[test]
    fn paths() {
        let quoted = |quote| ObjectName::from(vec![Ident::with_quote(quote, "s3://b/k")]);
        assert_eq!(path_of(&quoted('\'')), Some("s3://b/k"));
        assert_eq!(path_of(&quoted('"')), Some("s3://b/k"));
        assert_eq!(path_of(&ObjectName::from(vec![Ident::with_quote('"', "t")])), None);
    }
}
