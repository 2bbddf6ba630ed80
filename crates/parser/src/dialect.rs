//! The dialect: PostgreSQL's, and what Redshift, Athena and Flink users type besides.
//!
//! It keeps the type identity of sqlparser's `PostgreSqlDialect`, so that the parser's checks for that dialect hold.

use std::any::TypeId;

use sqlparser::ast::{ColumnOption, Expr, Statement};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

use crate::column_option;

/// The one instance that every parser borrows.
pub static DIALECT: TidegateDialect = TidegateDialect { base: PostgreSqlDialect {} };

/// PostgreSQL's dialect with a few doors opened.
#[derive(Debug, Default, Clone, Copy)]
pub struct TidegateDialect {
    base: PostgreSqlDialect,
}

/// Methods that answer as PostgreSQL's dialect does.
macro_rules! as_postgres {
    ($($method:ident)*) => {
        $(fn $method(&self) -> bool { self.base.$method() })*
    };
}

/// Methods on which we say yes where PostgreSQL's dialect says no.
macro_rules! yes {
    ($($method:ident)*) => {
        $(fn $method(&self) -> bool { true })*
    };
}

impl Dialect for TidegateDialect {
    fn dialect(&self) -> TypeId {
        self.base.dialect()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.base.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.base.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.base.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.base.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        self.base.is_reserved_for_identifier(kw)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        self.base.is_custom_operator_part(ch)
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        self.base.parse_prefix(parser)
    }

    fn parse_statement(&self, parser: &mut Parser) -> Option<Result<Statement, ParserError>> {
        self.base.parse_statement(parser)
    }

    fn parse_column_option(
        &self,
        parser: &mut Parser,
    ) -> Result<Option<Result<Option<ColumnOption>, ParserError>>, ParserError> {
        Ok(column_option::parse(parser)?.map(|option| Ok(Some(option))))
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        self.base.get_next_precedence(parser)
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        self.base.prec_value(prec)
    }

    as_postgres! {
        allow_extract_custom
        allow_extract_single_quotes
        supports_alter_column_type_using
        supports_array_typedef_with_brackets
        supports_bitwise_shift_operators
        supports_comma_separated_trim
        supports_comment_on
        supports_create_index_with_clause
        supports_create_table_like_parenthesized
        supports_empty_projections
        supports_explain_with_utility_options
        supports_filter_during_aggregation
        supports_geometric_types
        supports_group_by_expr
        supports_insert_table_alias
        supports_interval_options
        supports_listen_notify
        supports_load_extension
        supports_named_fn_args_with_colon_operator
        supports_nested_comments
        supports_notnull_operator
        supports_numeric_literal_underscores
        supports_set_names
        supports_string_escape_constant
        supports_unicode_string_literal
        supports_xml_expressions
    }

    // Not `supports_named_fn_args_with_expr_name`: each argument would be read as the expression of a name first, and then
    // again as itself, in calls within calls twice as often at each level.

    // Redshift's and DuckDB's `* EXCLUDE` and `ORDER BY ALL`, IGNORE NULLS inside the parentheses, and literals continued
    // on the next line, as the standard has it.
    yes! {
        supports_order_by_all
        supports_parens_around_table_factor
        supports_select_wildcard_exclude
        supports_string_literal_concatenation
        supports_window_clause_named_window_reference
        supports_window_function_null_treatment_arg
    }
}

#[cfg(test)]
mod tests {
    use crate::parse_one;

    #[test]
    fn calls_within_calls_are_read_once() {
        let nested = format!("SELECT {}1{}", "abs(".repeat(30), ")".repeat(30));
        parse_one(&nested).unwrap();
        parse_one("SELECT f(a => 1, c)").unwrap();
    }
}
