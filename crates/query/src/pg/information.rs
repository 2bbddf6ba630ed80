//! Rows of `information_schema`.

use super::acl;
use super::cell::Cell;
use super::names;
use super::shape::{Rows, SHAPES, Shape};
use super::snapshot::{PgConstraint, PgRelation, PgSnapshot};
use super::types;
use arrow::array::RecordBatch;
use datafusion::error::Result;
use tidegate_catalog::{Guarded, User};

/// Makes the rows of one view.
type Maker = fn(&PgSnapshot, &mut Rows);

/// Views that have rows here, by name.
const MADE: &[(&str, Maker)] = &[
    ("character_sets", character_sets),
    ("applicable_roles", applicable_roles),
    ("column_privileges", column_privileges),
    ("columns", columns),
    ("enabled_roles", enabled_roles),
    ("information_schema_catalog_name", catalog_name),
    ("key_column_usage", key_columns),
    ("referential_constraints", referential_constraints),
    ("role_column_grants", column_privileges),
    ("role_table_grants", privileges),
    ("schemata", schemata),
    ("table_constraints", table_constraints),
    ("table_privileges", privileges),
    ("tables", tables),
    ("views", views),
];

/// The rows of a view.
pub fn rows(snapshot: &PgSnapshot, shape: &'static Shape) -> Result<RecordBatch> {
    let mut rows = Rows::of(shape);
    if let Some((_, make)) = MADE.iter().find(|(name, _)| *name == shape.name) {
        make(snapshot, &mut rows);
    }
    Ok(rows.finish()?)
}

/// Whether a view of `information_schema` never has rows here.
pub fn is_empty(name: &str) -> bool {
    super::shape::information(name).is_some() && MADE.iter().all(|(made, _)| *made != name)
}

fn database(snapshot: &PgSnapshot) -> Cell {
    snapshot.database.as_str().into()
}

fn schema(snapshot: &PgSnapshot, relation: &PgRelation) -> Cell {
    names::schema_name(snapshot, relation.schema).into()
}

fn role(snapshot: &PgSnapshot, oid: u32) -> Cell {
    snapshot.role(oid).map(|role| role.name.as_str()).into()
}

fn yes_no(yes: bool) -> Cell {
    if yes { "YES" } else { "NO" }.into()
}

fn catalog_name(snapshot: &PgSnapshot, rows: &mut Rows) {
    rows.push([("catalog_name", database(snapshot))]);
}

fn character_sets(snapshot: &PgSnapshot, rows: &mut Rows) {
    rows.push([
        ("character_set_name", "UTF8".into()),
        ("character_repertoire", "UCS".into()),
        ("form_of_use", "UTF8".into()),
        ("default_collate_catalog", database(snapshot)),
        ("default_collate_schema", "pg_catalog".into()),
        ("default_collate_name", "C".into()),
    ]);
}

fn enabled_roles(snapshot: &PgSnapshot, rows: &mut Rows) {
    let asker = snapshot.asker();
    for role in snapshot.roles.iter().filter(|role| asker.is_superuser || asker.roles.contains(&role.oid)) {
        rows.push([("role_name", role.name.as_str().into())]);
    }
}

fn schemata(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (_, name, owner) in names::schemas(snapshot) {
        rows.push([
            ("catalog_name", database(snapshot)),
            ("schema_name", name.into()),
            ("schema_owner", role(snapshot, owner)),
        ]);
    }
}

fn tables(snapshot: &PgSnapshot, rows: &mut Rows) {
    let mut push = |schema: Cell, name: &str, kind: char, insertable: bool| {
        let kind = match kind {
            'v' => "VIEW",
            'f' => "FOREIGN",
            _ => "BASE TABLE",
        };
        rows.push([
            ("table_catalog", database(snapshot)),
            ("table_schema", schema),
            ("table_name", name.into()),
            ("table_type", kind.into()),
            ("is_insertable_into", yes_no(insertable)),
            ("is_typed", yes_no(false)),
        ]);
    };
    for shape in SHAPES.iter() {
        push(shape.schema_name().into(), shape.name, shape.kind, false);
    }
    for relation in visible(snapshot) {
        push(schema(snapshot, relation), &relation.name, relation.kind, relation.kind == 'r');
    }
}

fn views(snapshot: &PgSnapshot, rows: &mut Rows) {
    for relation in visible(snapshot).filter(|relation| relation.kind == 'v') {
        rows.push([
            ("table_catalog", database(snapshot)),
            ("table_schema", schema(snapshot, relation)),
            ("table_name", relation.name.as_str().into()),
            ("view_definition", relation.definition.as_deref().into()),
            ("check_option", "NONE".into()),
            ("is_updatable", yes_no(false)),
            ("is_insertable_into", yes_no(false)),
            ("is_trigger_updatable", yes_no(false)),
            ("is_trigger_deletable", yes_no(false)),
            ("is_trigger_insertable_into", yes_no(false)),
        ]);
    }
}

fn privileges(snapshot: &PgSnapshot, rows: &mut Rows) {
    for relation in &snapshot.relations {
        for given in acl::given(snapshot, relation.oid).into_iter().filter(|given| given.column.is_none()) {
            rows.push([
                ("grantor", acl::role_name(snapshot, given.grantor).into()),
                ("grantee", acl::role_name(snapshot, given.grantee).into()),
                ("table_catalog", database(snapshot)),
                ("table_schema", schema(snapshot, relation)),
                ("table_name", relation.name.as_str().into()),
                ("privilege_type", given.word.into()),
                ("is_grantable", yes_no(given.grantable)),
                ("with_hierarchy", yes_no(given.word == "SELECT")),
            ]);
        }
    }
}

/// A right to the whole is one to each column.
fn column_privileges(snapshot: &PgSnapshot, rows: &mut Rows) {
    let of_columns = Guarded::on_column();
    for relation in &snapshot.relations {
        let known = |word: &str| of_columns.each().any(|(_, _, known)| known == word);
        for given in acl::given(snapshot, relation.oid).into_iter().filter(|given| known(given.word)) {
            let concerned = |in_files: &String| given.column.as_ref().is_none_or(|column| column == in_files);
            for column in relation.columns.iter().filter(|column| concerned(&column.in_files)) {
                rows.push([
                    ("grantor", acl::role_name(snapshot, given.grantor).into()),
                    ("grantee", acl::role_name(snapshot, given.grantee).into()),
                    ("table_catalog", database(snapshot)),
                    ("table_schema", schema(snapshot, relation)),
                    ("table_name", relation.name.as_str().into()),
                    ("column_name", column.name.as_str().into()),
                    ("privilege_type", given.word.into()),
                    ("is_grantable", yes_no(given.grantable)),
                ]);
            }
        }
    }
}

fn applicable_roles(snapshot: &PgSnapshot, rows: &mut Rows) {
    let asker = snapshot.asker();
    for user in snapshot.state.all::<User>().filter(|user| asker.is_superuser || asker.roles.contains(&user.oid)) {
        for membership in &user.member_of {
            rows.push([
                ("grantee", user.name.as_str().into()),
                ("role_name", role(snapshot, membership.role)),
                ("is_grantable", yes_no(membership.admin)),
            ]);
        }
    }
}

fn visible(snapshot: &PgSnapshot) -> impl Iterator<Item = &PgRelation> {
    snapshot.relations.iter().filter(|relation| acl::is_visible(snapshot, relation.oid))
}

/// Each constraint with its relation.
fn constraints(snapshot: &PgSnapshot) -> impl Iterator<Item = (&PgRelation, &PgConstraint)> {
    snapshot.relations.iter().flat_map(|relation| relation.constraints.iter().map(move |one| (relation, one)))
}

fn table_constraints(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (relation, one) in constraints(snapshot) {
        let kind = match one.kind {
            'p' => "PRIMARY KEY",
            'u' => "UNIQUE",
            _ => "FOREIGN KEY",
        };
        rows.push([
            ("constraint_catalog", database(snapshot)),
            ("constraint_schema", schema(snapshot, relation)),
            ("constraint_name", one.name.as_str().into()),
            ("table_catalog", database(snapshot)),
            ("table_schema", schema(snapshot, relation)),
            ("table_name", relation.name.as_str().into()),
            ("constraint_type", kind.into()),
            ("is_deferrable", yes_no(false)),
            ("initially_deferred", yes_no(false)),
            ("enforced", yes_no(false)),
        ]);
    }
}

fn key_columns(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (relation, one) in constraints(snapshot) {
        for (index, place) in one.columns.iter().enumerate() {
            let column = usize::try_from(*place).ok().and_then(|place| relation.columns.get(place.checked_sub(1)?));
            let in_unique = if one.kind == 'f' { Cell::Int(index as i64 + 1) } else { Cell::Null };
            rows.push([
                ("constraint_catalog", database(snapshot)),
                ("constraint_schema", schema(snapshot, relation)),
                ("constraint_name", one.name.as_str().into()),
                ("table_catalog", database(snapshot)),
                ("table_schema", schema(snapshot, relation)),
                ("table_name", relation.name.as_str().into()),
                ("column_name", column.map(|column| column.name.as_str()).into()),
                ("ordinal_position", (index + 1).into()),
                ("position_in_unique_constraint", in_unique),
            ]);
        }
    }
}

fn referential_constraints(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (relation, one) in constraints(snapshot) {
        let Some((other, columns)) = &one.foreign else { continue };
        let Some(other) = snapshot.relation(*other) else { continue };
        let unique = other.constraints.iter().find(|theirs| theirs.kind != 'f' && theirs.columns == *columns);
        rows.push([
            ("constraint_catalog", database(snapshot)),
            ("constraint_schema", schema(snapshot, relation)),
            ("constraint_name", one.name.as_str().into()),
            ("unique_constraint_catalog", database(snapshot)),
            ("unique_constraint_schema", schema(snapshot, other)),
            ("unique_constraint_name", unique.map(|unique| unique.name.as_str()).into()),
            ("match_option", "NONE".into()),
            ("update_rule", "NO ACTION".into()),
            ("delete_rule", "NO ACTION".into()),
        ]);
    }
}

/// A column as the view `columns` shows it.
struct Column<'a> {
    schema: Cell,
    table: &'a str,
    place: usize,
    name: &'a str,
    type_oid: u32,
    typmod: i32,
    nullable: bool,
    default: Cell,
    updatable: bool,
}

fn columns(snapshot: &PgSnapshot, rows: &mut Rows) {
    for shape in SHAPES.iter() {
        for (index, column) in shape.columns.iter().enumerate() {
            let of = Column {
                schema: shape.schema_name().into(),
                table: shape.name,
                place: index + 1,
                name: column.name,
                type_oid: types::oid_of_catalog_name(column.type_name).unwrap_or(25),
                typmod: -1,
                nullable: !column.not_null,
                default: Cell::Null,
                updatable: false,
            };
            of.push(snapshot, rows);
        }
    }
    for relation in visible(snapshot) {
        for (index, column) in relation.columns.iter().enumerate() {
            let of = Column {
                schema: schema(snapshot, relation),
                table: &relation.name,
                place: index + 1,
                name: &column.name,
                type_oid: column.type_oid,
                typmod: column.typmod,
                nullable: !column.not_null,
                default: column.default.as_deref().into(),
                updatable: relation.kind == 'r',
            };
            of.push(snapshot, rows);
        }
    }
}

impl Column<'_> {
    fn push(self, snapshot: &PgSnapshot, rows: &mut Rows) {
        let found = types::find(self.type_oid);
        let is_array = found.is_some_and(|found| found.element.is_some());
        let data_type = if is_array { "ARRAY".to_string() } else { types::format(self.type_oid, None) };
        let numeric = Numeric::of(self.type_oid, self.typmod);
        let length = (matches!(self.type_oid, 1042 | 1043) && self.typmod > 4).then_some(self.typmod - 4);
        let is_text = matches!(self.type_oid, 25 | 1042 | 1043);
        rows.push([
            ("table_catalog", database(snapshot)),
            ("table_schema", self.schema),
            ("table_name", self.table.into()),
            ("column_name", self.name.into()),
            ("ordinal_position", self.place.into()),
            ("column_default", self.default),
            ("is_nullable", yes_no(self.nullable)),
            ("data_type", data_type.into()),
            ("character_maximum_length", length.into()),
            ("character_octet_length", is_text.then(|| length.map_or(1 << 30, |length| length * 4)).into()),
            ("numeric_precision", numeric.precision.into()),
            ("numeric_precision_radix", numeric.radix.into()),
            ("numeric_scale", numeric.scale.into()),
            ("datetime_precision", fraction_digits(self.type_oid).into()),
            ("udt_catalog", database(snapshot)),
            ("udt_schema", "pg_catalog".into()),
            ("udt_name", found.map(|found| found.name.as_str()).into()),
            ("dtd_identifier", self.place.to_string().into()),
            ("is_self_referencing", yes_no(false)),
            ("is_identity", yes_no(false)),
            ("identity_cycle", yes_no(false)),
            ("is_generated", "NEVER".into()),
            ("is_updatable", yes_no(self.updatable)),
        ]);
    }
}

/// What the view says of a type of numbers.
#[derive(Debug, Default, PartialEq)]
struct Numeric {
    precision: Option<i32>,
    radix: Option<i32>,
    scale: Option<i32>,
}

impl Numeric {
    fn of(type_oid: u32, typmod: i32) -> Self {
        let of = |precision, radix, scale| Numeric { precision, radix: Some(radix), scale };
        match type_oid {
            20 => of(Some(64), 2, Some(0)),
            21 => of(Some(16), 2, Some(0)),
            23 => of(Some(32), 2, Some(0)),
            700 => of(Some(24), 2, None),
            701 => of(Some(53), 2, None),
            1700 if typmod >= 4 => of(Some((typmod - 4) >> 16), 10, Some((typmod - 4) & 0x7ff)),
            1700 => of(None, 10, None),
            _ => Numeric::default(),
        }
    }
}

/// Digits of a second's fraction.
fn fraction_digits(type_oid: u32) -> Option<i32> {
    match type_oid {
        1082 => Some(0),
        1083 | 1114 | 1184 | 1186 | 1266 => Some(6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_described() {
        let cases = [
            (23, -1, (Some(32), Some(2), Some(0))),
            (1700, (10 << 16 | 2) + 4, (Some(10), Some(10), Some(2))),
            (1700, -1, (None, Some(10), None)),
            (25, -1, (None, None, None)),
        ];
        for (oid, typmod, (precision, radix, scale)) in cases {
            assert_eq!(Numeric::of(oid, typmod), Numeric { precision, radix, scale });
        }
        assert!(is_empty("triggers") && !is_empty("columns") && !is_empty("planes"));
        for (name, _) in MADE {
            assert!(super::super::shape::information(name).is_some(), "{name}");
        }
    }
}
