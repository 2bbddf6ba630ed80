//! What PartiQL has that sqlparser does not read: `AT`, UNPIVOT and subscripts at a table's place, and `ARRAY(…)`.
//!
//! `t.items AS i AT at` becomes `t.items AS i (i, at)`; `UNPIVOT t.c AS v AT k` the call [`MEMBERS_OF`], and a path with
//! a subscript the call [`ITEMS_OF`], each with the path as its argument. `ARRAY(1, 2)` becomes a plain call.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::piece::is_word;
use crate::rewrite::CLAUSE_WORDS;

/// The call that stands for the items of a path.
pub const ITEMS_OF: &str = "$items_of";
/// The call that stands for the members of a path: UNPIVOT.
pub const MEMBERS_OF: &str = "$members_of";

/// Puts what sqlparser reads in their place.
pub(crate) fn rewrite(tokens: &mut Vec<TokenWithSpan>) {
    // For each parenthesis around this place: whether a query is in it, and whether its FROM is being read.
    let mut levels = vec![(true, false)];
    let mut at = 0;
    while at < tokens.len() {
        plain_array(tokens, at);
        if levels.last().is_some_and(|(_, from)| *from) {
            place_alias(tokens, at);
        }
        let Some(token) = tokens.get(at).map(|token| &token.token) else { break };
        match token {
            Token::LParen => levels.push((false, false)),
            Token::RParen if levels.len() > 1 => drop(levels.pop()),
            _ => {}
        }
        let begins = is_word(token, "FROM") || is_word(token, "JOIN") || *token == Token::Comma;
        let ends = ENDS.iter().any(|word| is_word(token, word));
        if let Some((query, from)) = levels.last_mut() {
            *query |= is_word(token, "SELECT");
            *from = (*from && !ends) || (*query && is_word(token, "FROM"));
            if *from && begins {
                wrap_path(tokens, at + 1);
            }
        }
        at += 1;
    }
}

/// Words that end FROM's list.
const ENDS: &[&str] =
    &["WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "INTERSECT", "EXCEPT", "WINDOW", "SELECT"];

fn word(text: &str, quote_style: Option<char>) -> Token {
    Token::Word(Word { value: text.to_string(), quote_style, keyword: Keyword::NoKeyword })
}

/// `ARRAY(1, 2)` is a call; `ARRAY(SELECT …)` and `ARRAY[…]` are sqlparser's.
fn plain_array(tokens: &mut [TokenWithSpan], at: usize) {
    let [name, open, first] = tokens.get(at..at + 3).unwrap_or_default() else { return };
    let query = ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| is_word(&first.token, word));
    let unquoted = matches!(&name.token, Token::Word(word) if word.quote_style.is_none());
    let call = unquoted && is_word(&name.token, "ARRAY") && open.token == Token::LParen;
    if call
        && !query
        && first.token != Token::LParen
        && let Some(name) = tokens.get_mut(at)
    {
        name.token = word("array", None);
    }
}

/// `items AS i AT at` is `items AS i (i, at)`.
fn place_alias(tokens: &mut Vec<TokenWithSpan>, at: usize) {
    let [before, alias, word_at, place] = tokens.get(at..at + 4).unwrap_or_default() else { return };
    let named = is_word(&before.token, "AS") || before.token == Token::RParen || is_name(&before.token);
    if !named || !is_name(&alias.token) || !is_word(&word_at.token, "AT") || !is_name(&place.token) {
        return;
    }
    let span = word_at.span;
    let (alias, place) = (alias.token.clone(), place.token.clone());
    let with = [Token::LParen, alias, Token::Comma, place, Token::RParen];
    tokens.splice(at + 2..at + 4, with.map(|token| TokenWithSpan::new(token, span)));
}

/// Words that stand beside a name in FROM and in the conditions there, and are none.
const NO_NAMES: &[&str] = &[
    "AS", "BETWEEN", "CASE", "CROSS", "ELSE", "END", "FULL", "IN", "INNER", "IS", "LEFT", "LIKE", "NATURAL", "NOT",
    "OUTER", "RIGHT", "SELECT", "THEN", "TIME", "WHEN",
];

fn is_name(token: &Token) -> bool {
    matches!(token, Token::Word(_)) && !CLAUSE_WORDS.iter().chain(NO_NAMES).any(|word| is_word(token, word))
}

/// Makes the path that begins here a call, if it is one of UNPIVOT or has a subscript.
fn wrap_path(tokens: &mut Vec<TokenWithSpan>, from: usize) {
    let Some(first) = tokens.get(from) else { return };
    let unpivot = is_word(&first.token, "UNPIVOT");
    let start = from + usize::from(unpivot);
    let end = path_end(tokens, start);
    let subscript = tokens.get(start..end).unwrap_or_default().iter().any(|token| token.token == Token::LBracket);
    if end == start || !(unpivot || subscript) {
        return;
    }
    let span = first.span;
    let name = if unpivot { MEMBERS_OF } else { ITEMS_OF };
    let made = |token| TokenWithSpan::new(token, span);
    tokens.insert(end, made(Token::RParen));
    tokens.splice(from..start, [made(word(name, Some('"'))), made(Token::LParen)]);
}

/// The place behind a path: names, points, and what stands in brackets.
fn path_end(tokens: &[TokenWithSpan], start: usize) -> usize {
    let mut at = start;
    let mut depth = 0usize;
    while let Some(token) = tokens.get(at) {
        match &token.token {
            Token::LBracket => depth += 1,
            Token::RBracket => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            Token::Word(_) if at == start || tokens.get(at - 1).is_some_and(|token| token.token == Token::Period) => {}
            Token::Period if at > start => {}
            _ => break,
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use crate::Statement;
    use crate::tests_support::one;

    #[test]
    fn partiql_becomes_what_sqlparser_reads() {
        for (sql, meaning) in [
            ("SELECT 1 FROM t, t.items AS i AT at", "SELECT 1 FROM t, t.items AS i (i, at)"),
            ("SELECT 1 FROM t, t.items i AT at WHERE i.x = 1", "SELECT 1 FROM t, t.items i (i, at) WHERE i.x = 1"),
            ("SELECT 1 FROM t, t.c[0].items AS i", "SELECT 1 FROM t, \"$items_of\"(t.c[0].items) AS i"),
            ("SELECT 1 FROM t, UNPIVOT t.c AS v AT k", "SELECT 1 FROM t, \"$members_of\"(t.c) AS v (v, k)"),
            (
                "SELECT 1 FROM t LEFT JOIN t.c[1] AS i ON true",
                "SELECT 1 FROM t LEFT JOIN \"$items_of\"(t.c[1]) AS i ON true",
            ),
            ("SELECT ARRAY(1, 2), ARRAY[3], a[1] FROM t", "SELECT array(1, 2), ARRAY[3], a[1] FROM t"),
            ("SELECT ARRAY(SELECT 1)", "SELECT ARRAY(SELECT 1)"),
            ("SELECT a AT TIME ZONE 'UTC', b[1] FROM t", "SELECT a AT TIME ZONE 'UTC', b[1] FROM t"),
            ("SELECT 1 FROM a.b, c.d AS e", "SELECT 1 FROM a.b, c.d AS e"),
            ("SELECT 1 FROM t at JOIN u ON at.a = u.at AND u.b", "SELECT 1 FROM t at JOIN u ON at.a = u.at AND u.b"),
            ("SELECT at AS a, b AS at FROM t", "SELECT at AS a, b AS at FROM t"),
        ] {
            let Statement::Sql(statement) = one(sql) else { panic!("{sql}") };
            assert_eq!(statement.to_string(), meaning, "{sql}");
        }
    }
}
