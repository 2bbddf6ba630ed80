//! What is done on tokens before sqlparser sees them: small words it does not know are turned into ones it knows, and
//! what it would silently read as something else is refused.

use sqlparser::tokenizer::{Token, TokenWithSpan};
use tidegate_core::{Error, Kind, Result};

use crate::piece::{Piece, is_word};
use crate::{dml, fault};

/// Words with which no table and no item of a list begins; sqlparser would take them as names.
pub(crate) const CLAUSE_WORDS: &[&str] = &[
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "ON",
    "USING",
    "JOIN",
    "AND",
    "OR",
    "INTO",
];

/// Words that end no operand, after which the name of a table may stand.
const NAME_WORDS: &[&str] = &[
    "TABLE", "EXISTS", "FROM", "JOIN", "INTO", "UPDATE", "USING", "LIKE", "COPY", "TRUNCATE", "VACUUM", "ANALYZE",
    "LOCK", "TO", "SELECT", "ON", "WHERE", "AND", "OR", "NOT", "BY", "HAVING", "WHEN", "THEN", "ELSE",
];

/// The tokens as sqlparser is to read them.
pub(crate) fn tokens(piece: &Piece) -> Vec<TokenWithSpan> {
    let mut tokens = piece.tokens.clone();
    let begins = |words: &[&str]| {
        words.iter().enumerate().all(|(n, word)| piece.tokens.get(n).is_some_and(|token| is_word(&token.token, word)))
    };
    if begins(&["DROP", "EXTERNAL", "TABLE"]) {
        tokens.remove(1);
    } else if begins(&["ABORT"]) {
        put(&mut tokens, 0, 1, &[Token::make_keyword("ROLLBACK")]);
    } else if begins(&["TABLE"]) {
        put(&mut tokens, 0, 1, &[Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")]);
    } else if begins(&["FETCH"]) || begins(&["MOVE"]) {
        complete_fetch(&mut tokens);
    } else {
        dml::rewrite(&mut tokens);
    }
    name_temporary(&mut tokens);
    tokens
}

/// `#name`, Redshift's word for a temporary table, where no operand stands before it: `a # b` is Postgres' XOR.
fn name_temporary(tokens: &mut Vec<TokenWithSpan>) {
    let mut index = 0;
    while index < tokens.len() {
        let before = index.checked_sub(1).and_then(|before| tokens.get(before));
        let announced = before.is_none_or(|token| match &token.token {
            Token::Word(word) => word.quote_style.is_none() && NAME_WORDS.contains(&word.value.to_uppercase().as_str()),
            token => !ends_operand(token),
        });
        if let (true, Some(sharp), Some(next)) = (announced, tokens.get(index), tokens.get(index + 1))
            && sharp.token == Token::Sharp
            && let Token::Word(word) = &next.token
            && sharp.span.end == next.span.start
        {
            let name = Token::make_word(&format!("#{}", word.value.to_lowercase()), Some('"'));
            put(tokens, index, 2, &[name]);
        }
        index += 1;
    }
}

/// `FETCH [NEXT] [FROM] c`, and MOVE, which is written alike: Postgres lets both words be left out, sqlparser neither.
fn complete_fetch(tokens: &mut Vec<TokenWithSpan>) {
    let linked = |token: &TokenWithSpan| is_word(&token.token, "FROM") || is_word(&token.token, "IN");
    if !tokens.iter().any(linked) && tokens.len() > 1 {
        let last = tokens.len() - 1;
        put(tokens, last, 0, &[Token::make_keyword("FROM")]);
    }
    if tokens.get(1).is_some_and(linked) {
        put(tokens, 1, 0, &[Token::make_keyword("NEXT")]);
    }
}

/// Takes `WITH NO SCHEMA BINDING` off the end of CREATE VIEW, where sqlparser has it for other dialects only.
pub(crate) fn late_binding(tokens: &mut Vec<TokenWithSpan>) -> bool {
    let word = |index: usize, word: &str| tokens.get(index).is_some_and(|token| is_word(&token.token, word));
    let creates = word(0, "CREATE") && (word(1, "VIEW") || (word(1, "OR") && word(3, "VIEW")));
    let words = ["WITH", "NO", "SCHEMA", "BINDING"];
    let Some(from) = tokens.len().checked_sub(words.len()).filter(|_| creates) else { return false };
    let found = words.iter().enumerate().all(|(n, known)| word(from + n, known));
    if found {
        tokens.truncate(from);
    }
    found
}

/// Whether a token that is no word ends an operand, so that an operator may follow.
fn ends_operand(token: &Token) -> bool {
    use Token::{DollarQuotedString, Mul, Number, Placeholder, RBracket, RParen, SingleQuotedString};
    matches!(
        token,
        Number(..) | SingleQuotedString(_) | DollarQuotedString(_) | Placeholder(_) | RParen | RBracket | Mul
    )
}

/// Puts tokens in place of some, at the place in the text of the first of them.
pub(crate) fn put(tokens: &mut Vec<TokenWithSpan>, at: usize, replaced: usize, with: &[Token]) {
    let Some(span) = tokens.get(at).map(|token| token.span) else { return };
    let with = with.iter().map(|token| TokenWithSpan::new(token.clone(), span)).collect::<Vec<_>>();
    tokens.splice(at..at + replaced, with);
}

/// Refuses what sqlparser would read as something else: `SELECT STREAM a` as a column named stream, SUBSCRIBE as a
/// table, and a clause that begins where a name should stand.
pub(crate) fn refuse(piece: &Piece) -> Result<()> {
    let is_pump = matches!(piece.tokens.as_slice(), [create, pump, ..]
        if is_word(&create.token, "CREATE") && is_word(&pump.token, "PUMP"));
    for (index, pair) in piece.tokens.windows(2).enumerate() {
        let [first, second] = pair else { continue };
        let third = piece.tokens.get(index + 2).map(|token| &token.token);
        let what =
            if !is_pump && is_word(&first.token, "SELECT") && is_word(&second.token, "STREAM") && begins_item(third) {
                "SELECT STREAM"
            } else if is_word(&first.token, "FOR") && is_word(&second.token, "SUBSCRIBE") {
                "SUBSCRIBE"
            } else if announces_name(&first.token) && CLAUSE_WORDS.iter().any(|word| is_word(&second.token, word)) {
                return Err(fault::syntax_at(piece, index + 1));
            } else {
                continue;
            };
        return Err(Error::new(Kind::Unsupported, format!("{what} is not supported")).at(piece.char_of(index + 1)));
    }
    Ok(())
}

/// Whether a name or an item of a list must follow.
fn announces_name(token: &Token) -> bool {
    *token == Token::Comma || is_word(token, "FROM") || is_word(token, "JOIN")
}

/// Whether a token can begin an item of SELECT, so that the word before it is no item itself.
fn begins_item(token: Option<&Token>) -> bool {
    match token {
        Some(word @ Token::Word(_)) => !["FROM", "AS"].iter().any(|end| is_word(word, end)),
        Some(Token::Mul | Token::Number(..) | Token::SingleQuotedString(_)) => true,
        _ => false,
    }
}
