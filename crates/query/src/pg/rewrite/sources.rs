//! What a select reads from: the names of its sources and of their columns, as far as the snapshot knows them.

use super::super::functions::LISTENED;
use super::super::provider::KEYWORDS;
use super::super::shape::{self, Shape};
use super::super::snapshot::PgSnapshot;
use super::super::{information, names, relations, types};
use super::{barren, build, calls, output};
use sqlparser::ast::{
    DataType, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Select, SelectItem,
    SelectItemQualifiedWildcardKind, TableAlias, TableAliasColumnDef, TableFactor, Value, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;
use tidegate_parser::{fold, name_parts};

/// Columns of arrays that are NULL in every row here: privileges and options, which no object has.
const ALWAYS_NULL: &[&str] = &[
    "reloptions",
    "attoptions",
    "attfdwoptions",
    "proconfig",
    "typacl",
    "lanacl",
    "spcacl",
    "spcoptions",
    "rolconfig",
    "useconfig",
    "ftoptions",
    "srvoptions",
];

/// How names are looked up at one place.
pub struct Names<'a> {
    /// What there is.
    pub snapshot: &'a PgSnapshot,
    /// Names that WITH gives around this place.
    pub ctes: &'a [Vec<String>],
}

/// One source of a select.
pub struct Source {
    /// The name that its columns are qualified with.
    pub alias: String,
    /// Its columns, when they are known.
    pub columns: Option<Vec<(String, DataType)>>,
    /// Whether it never has rows.
    pub barren: bool,
    /// Of a relation of a system schema: its object id.
    pub system: Option<u32>,
}

/// A relation by its name.
enum Found<'a> {
    System(&'static Shape),
    User(&'a super::super::snapshot::PgRelation),
}

impl Names<'_> {
    fn is_cte(&self, name: &str) -> bool {
        self.ctes.iter().flatten().any(|cte| cte == name)
    }

    fn find(&self, name: &ObjectName) -> Option<Found<'_>> {
        let parts = name_parts(name);
        let system = match parts.as_slice() {
            [name] if self.is_cte(name) => return None,
            [name] => shape::pg(name),
            [.., schema, name] if schema == "pg_catalog" => shape::pg(name),
            [.., schema, name] if schema == "information_schema" => shape::information(name),
            _ => None,
        };
        if let Some(shape) = system {
            return Some(Found::System(shape));
        }
        let oid = names::relation_oid(self.snapshot, &parts)?;
        self.snapshot.relation(oid).map(Found::User)
    }

    /// The sources of a select, those of its joins too.
    pub fn sources(&self, select: &Select) -> Vec<Source> {
        let tables = select
            .from
            .iter()
            .flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)));
        tables.flat_map(|factor| self.source(factor)).collect()
    }

    /// The source that a factor is, or those of the join it is.
    pub fn source(&self, factor: &TableFactor) -> Vec<Source> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => vec![self.table(name, alias.as_ref())],
            TableFactor::Table { name, alias, args: Some(args), .. } => {
                vec![function(name, &args.args, alias.as_ref())]
            }
            TableFactor::Function { name, args, alias, .. } => vec![function(name, args, alias.as_ref())],
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                let barren = array_exprs.first().is_some_and(is_always_null);
                vec![Source { barren, ..unknown(alias.as_ref()) }]
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let types = barren::types(subquery);
                let barren = types.is_some();
                let names = build::plain_select(subquery).and_then(|select| output::names(&select.projection));
                let columns = names.map(|names| {
                    let types = types.unwrap_or_default().into_iter().map(Some).chain(std::iter::repeat(None));
                    names.into_iter().zip(types.map(|kind| kind.unwrap_or(DataType::Text))).collect()
                });
                vec![renamed(Source { columns, barren, ..unknown(alias.as_ref()) }, alias.as_ref())]
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                let inner = std::iter::once(&table_with_joins.relation);
                let inner = inner.chain(table_with_joins.joins.iter().map(|join| &join.relation));
                inner.flat_map(|factor| self.source(factor)).collect()
            }
            _ => vec![unknown(None)],
        }
    }

    fn table(&self, name: &ObjectName, alias: Option<&TableAlias>) -> Source {
        let own = name_parts(name).pop().unwrap_or_default();
        let source = match self.find(name) {
            Some(Found::System(shape)) => Source {
                alias: own,
                columns: Some(
                    shape.columns.iter().map(|c| (c.name.to_string(), build::sql_type(c.type_name))).collect(),
                ),
                barren: if shape.information {
                    information::is_empty(shape.name)
                } else {
                    relations::is_empty(self.snapshot, shape.name)
                },
                system: Some(shape.oid),
            },
            Some(Found::User(relation)) => Source {
                alias: own,
                columns: Some(relation.columns.iter().map(|c| (c.name.clone(), user_type(c.type_oid))).collect()),
                barren: false,
                system: None,
            },
            None => Source { alias: own, columns: None, barren: false, system: None },
        };
        renamed(source, alias)
    }
}

fn user_type(oid: u32) -> DataType {
    build::sql_type(types::find(oid).map_or("text", |found| found.name.as_str()))
}

fn unknown(alias: Option<&TableAlias>) -> Source {
    let alias = alias.map(|alias| fold(&alias.name)).unwrap_or_default();
    Source { alias, columns: None, barren: false, system: None }
}

/// With the names that an alias gives to the source and to its columns.
fn renamed(mut source: Source, alias: Option<&TableAlias>) -> Source {
    let Some(alias) = alias else { return source };
    source.alias = fold(&alias.name);
    for (given, (name, _)) in alias.columns.iter().zip(source.columns.iter_mut().flatten()) {
        *name = fold(&given.name);
    }
    source
}

fn function(name: &ObjectName, args: &[FunctionArg], alias: Option<&TableAlias>) -> Source {
    let unnest = name_parts(name).pop().is_some_and(|name| name == "unnest");
    let null =
        args.iter().any(|arg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) if is_always_null(e)));
    Source { barren: unnest && null, ..unknown(alias) }
}

fn is_always_null(expr: &Expr) -> bool {
    let name = match build::bare(expr) {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(parts) => match parts.last() {
            Some(ident) => ident,
            None => return false,
        },
        _ => return false,
    };
    ALWAYS_NULL.contains(&fold(name).as_str())
}

/// The channels that the session listens to, a row each.
const LISTENING: &str = "pg_listening_channels";

/// Functions that give rows; another one in FROM gives its one value.
const TABLE_FUNCTIONS: &[&str] = &["generate_series", "hop", "range", "tumble", "unnest", KEYWORDS];

/// `FROM f(…) AS a` for a function that gives one value, as `FROM (SELECT f(…) AS a) AS a`.
fn as_derived(
    snapshot: &PgSnapshot,
    name: &ObjectName,
    args: &[FunctionArg],
    alias: Option<&TableAlias>,
) -> Option<TableFactor> {
    let parts = name_parts(name);
    let function = match parts.as_slice() {
        [function] => function,
        [schema, function] => {
            let schema = names::schema_oid(snapshot, schema)?;
            let own = snapshot.functions.iter().find(|one| one.schema == schema && one.name == *function)?;
            &own.name
        }
        _ => return None,
    };
    if TABLE_FUNCTIONS.contains(&function.as_str()) || function.contains("://") {
        return None;
    }
    let column = alias.map_or_else(|| function.clone(), |alias| fold(&alias.name));
    let mut call = build::call(function, Vec::new());
    if let Expr::Function(call) = &mut call {
        call.name = name.clone();
    }
    if let Expr::Function(call) = &mut call
        && let sqlparser::ast::FunctionArguments::List(list) = &mut call.args
    {
        list.args = args.to_vec();
    }
    // One of the system's that gives rows: the elements of what stands behind it.
    let call = if function == LISTENING { format!("unnest({LISTENED}())") } else { call.to_string() };
    let text = format!("SELECT {call} AS {} ", tidegate_parser::quoted(&column));
    let subquery = tidegate_parser::parse_query(&text).ok()?;
    let mut alias = alias.cloned().unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::with_quote('"', function),
        columns: Vec::new(),
        at: None,
    });
    alias.columns.truncate(1);
    Some(TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None })
}

/// Gives catalogs the schema they are in, and table functions their plain names.
pub fn qualify(names: &Names<'_>, factor: &mut TableFactor) {
    plain_name(names, factor);
    name_column(factor);
    let derived = match factor {
        TableFactor::Table { name, args: Some(args), alias, .. } => {
            as_derived(names.snapshot, name, &args.args, alias.as_ref())
        }
        _ => None,
    };
    if let Some(derived) = derived {
        *factor = derived;
    }
}

fn plain_name(names: &Names<'_>, factor: &mut TableFactor) {
    match factor {
        TableFactor::Table { name, args, .. } => {
            let parts = name_parts(name);
            match (parts.as_slice(), &args) {
                ([.., last], Some(_)) if last == KEYWORDS => {
                    *name = catalog_table(KEYWORDS);
                    *args = None;
                }
                ([schema, last], Some(_)) if schema == "pg_catalog" => {
                    *name = ObjectName::from(vec![Ident::new(last)]);
                    args.iter_mut().for_each(|args| widen(&mut args.args));
                }
                ([last], Some(_)) if last == "generate_series" => {
                    args.iter_mut().for_each(|args| widen(&mut args.args))
                }
                ([last], None) if !names.is_cte(last) && shape::pg(last).is_some() => *name = catalog_table(last),
                _ => {}
            }
        }
        TableFactor::Function { name, .. } => {
            if let [schema, last] = name_parts(name).as_slice()
                && schema == "pg_catalog"
            {
                *name = ObjectName::from(vec![Ident::new(last)]);
            }
        }
        _ => {}
    }
}

/// A function of one column gives its alias to the column, too, as in Postgres: `FROM generate_series(1, 3) AS n` has `n.n`.
fn name_column(factor: &mut TableFactor) {
    let alias =
        match factor {
            TableFactor::Table { name, args: Some(_), alias: Some(alias), .. }
                if name_parts(name).last().is_some_and(|name| name == "generate_series") =>
            {
                alias
            }
            TableFactor::UNNEST {
                alias: Some(alias), array_exprs, with_offset: false, with_ordinality: false, ..
            } if array_exprs.len() == 1 => alias,
            _ => return,
        };
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
}

/// `generate_series(1, array_upper(…))`: the engine's takes one width of integers only.
fn widen(args: &mut [FunctionArg]) {
    for arg in args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg
            && matches!(expr, Expr::Function(_))
        {
            *expr = build::cast(calls::take(expr), DataType::BigInt(None));
        }
    }
}

/// Puts the number for `c.tableoid`, a column that the relations of the catalogs have unseen.
pub fn table_oids(names: &Names<'_>, select: &mut Select) {
    let mut oids = TableOids(Vec::new());
    oids.0.extend(names.sources(select).into_iter().filter_map(|source| Some((source.alias, source.system?))));
    if !oids.0.is_empty() {
        let _ = VisitMut::visit(select, &mut oids);
    }
}

struct TableOids(Vec<(String, u32)>);

impl VisitorMut for TableOids {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let oid = match &*expr {
            Expr::Identifier(column) if fold(column) == "tableoid" => self.0.first(),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., source, column] if fold(column) == "tableoid" => {
                    let source = fold(source);
                    self.0.iter().find(|(alias, _)| *alias == source)
                }
                _ => None,
            },
            _ => None,
        };
        if let Some((_, oid)) = oid {
            *expr = build::value(Value::Number(oid.to_string(), false));
        }
        ControlFlow::Continue(())
    }
}

fn catalog_table(name: &str) -> ObjectName {
    ObjectName::from(vec![Ident::new("pg_catalog"), Ident::new(name)])
}

/// `SELECT c.oid, c.*` names a column twice, which the engine refuses: the second gets a name of its own.
pub fn expand_wildcards(names: &Names<'_>, select: &mut Select) {
    let wild = |item: &SelectItem| matches!(item, SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_));
    if select.projection.len() < 2 || !select.projection.iter().any(wild) {
        return;
    }
    let sources = names.sources(select);
    let repeated = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(Expr::Identifier(_)) => true,
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.len() == 2,
        _ => false,
    });
    if !repeated || !sources.iter().any(|source| source.system.is_some()) {
        return;
    }
    if let Some(items) = expanded(&sources, &select.projection) {
        select.projection = items;
    }
}

/// The items with wildcards written out; nothing when the columns of one are not known.
pub fn expanded(sources: &[Source], items: &[SelectItem]) -> Option<Vec<SelectItem>> {
    let mut all = Vec::new();
    for item in items {
        match item {
            SelectItem::Wildcard(_) => {
                for source in sources {
                    all.extend(columns(source)?);
                }
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let wanted = name_parts(name).pop()?;
                all.extend(columns(sources.iter().find(|source| source.alias == wanted)?)?);
            }
            SelectItem::QualifiedWildcard(..) => return None,
            other => all.push(other.clone()),
        }
    }
    Some(told_apart(all))
}

fn columns(source: &Source) -> Option<Vec<SelectItem>> {
    let of = |name: &str| Expr::CompoundIdentifier(vec![calls::ident(&source.alias), calls::ident(name)]);
    Some(source.columns.as_ref()?.iter().map(|(name, _)| SelectItem::UnnamedExpr(of(name))).collect())
}

/// Names that come again get a number.
fn told_apart(items: Vec<SelectItem>) -> Vec<SelectItem> {
    let mut seen: Vec<String> = Vec::new();
    let each = items.into_iter().map(|item| {
        let name = output::item_name(&item);
        if !seen.contains(&name) {
            seen.push(name);
            return item;
        }
        let fresh = output::fresh(&name, &seen);
        seen.push(fresh.clone());
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', fresh) }
            }
            other => other,
        }
    });
    each.collect()
}
