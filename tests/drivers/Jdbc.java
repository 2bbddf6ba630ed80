import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLTimeoutException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Calendar;
import java.util.List;
import java.util.Properties;
import java.util.TimeZone;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PGInterval;
import org.postgresql.util.PGobject;

/** pgJDBC against a server: parameters and columns as text and as binary, batches, portals, transactions, COPY, metadata. */
public class Jdbc {
    static final String PORT = System.getenv().getOrDefault("TIDEGATE_SQL_PORT", "5439");
    static final String SLOW = "SELECT count(*) FROM generate_series(1, 10000000) a(n), generate_series(1, 10000000) b(m)"
        + " WHERE a.n * 31 % 7 = b.m % 11";
    static int failed = 0;

    interface Body { void run() throws Exception; }

    static void check(String name, Body body) {
        long started = System.nanoTime();
        try {
            body.run();
        } catch (Throwable error) {
            failed++;
            System.out.println("FAIL " + name);
            error.printStackTrace(System.out);
            return;
        }
        System.out.println("PASS " + name);
        System.out.printf("  %.2f s%n", (System.nanoTime() - started) / 1e9);
    }

    public static void main(String[] args) throws Exception {
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        prepare();
        check("connects_and_tells_versions", Jdbc::connects);
        check("is_valid_and_has_a_session", Jdbc::isValid);
        check("connection_parameters_are_taken", Jdbc::connectionParameters);
        check("values_both_ways_as_text", () -> valuesBothWays("binaryTransfer=false"));
        check("values_both_ways_as_binary", () -> valuesBothWays("prepareThreshold=-1"));
        check("values_both_ways_prepared_by_name", () -> valuesBothWays("prepareThreshold=1"));
        check("values_both_ways_as_simple_queries", () -> valuesBothWays("preferQueryMode=simple"));
        check("infinite_dates_and_far_years", Jdbc::infiniteDates);
        check("times_of_the_old_classes", Jdbc::oldTimes);
        check("nulls_of_all_types", Jdbc::nullsOfAllTypes);
        check("arrays_as_text", () -> arrays("binaryTransfer=false"));
        check("arrays_as_binary", () -> arrays("prepareThreshold=-1"));
        check("a_parameter_for_any", Jdbc::parameterForAny);
        check("a_table_of_all_types_as_text", () -> tableOfAllTypes("binaryTransfer=false", "t"));
        check("a_table_of_all_types_as_binary", () -> tableOfAllTypes("prepareThreshold=-1", "b"));
        check("strings_of_an_unknown_type", Jdbc::unknownStrings);
        check("a_batch", () -> batch("", "jdbc_batch"));
        check("a_batch_rewritten_into_many_rows", () -> batch("reWriteBatchedInserts=true", "jdbc_batch_rewritten"));
        check("a_batch_of_updates", Jdbc::batchOfUpdates);
        check("a_batch_that_fails_tells_where", Jdbc::batchThatFails);
        check("generated_keys", Jdbc::generatedKeys);
        check("generated_keys_of_a_batch", Jdbc::generatedKeysOfBatch);
        check("returning_as_a_query", Jdbc::returningAsQuery);
        check("rows_through_a_portal", Jdbc::rowsThroughPortal);
        check("two_portals_at_once", Jdbc::twoPortals);
        check("max_rows", Jdbc::maxRows);
        check("a_scrollable_result", Jdbc::scrollable);
        check("an_updatable_result", Jdbc::updatable);
        check("many_statements_in_one", Jdbc::manyStatements);
        check("a_cursor_by_its_name", Jdbc::refCursor);
        check("query_timeout", Jdbc::queryTimeout);
        check("cancel_from_another_thread", Jdbc::cancel);
        check("a_prepared_statement_is_used_again", Jdbc::preparedAgain);
        check("a_prepared_statement_outlives_ddl", Jdbc::preparedOverDdl);
        check("parameters_of_many_kinds_of_statement", Jdbc::parametersEverywhere);
        check("savepoints", Jdbc::savepoints);
        check("a_failed_transaction", Jdbc::failedTransaction);
        check("autosave_always", Jdbc::autosave);
        check("read_only", Jdbc::readOnly);
        check("read_only_is_shown", Jdbc::readOnlyIsShown);
        check("a_read_only_session", Jdbc::readOnlySession);
        check("isolation_levels", Jdbc::isolationLevels);
        check("errors_have_their_state", Jdbc::errors);
        check("literals_are_read", Jdbc::literals);
        check("warnings_are_told", Jdbc::warnings);
        check("copy_in_and_out", Jdbc::copy);
        check("copy_of_binary", Jdbc::copyBinary);
        check("a_copy_that_fails", Jdbc::copyFails);
        check("escapes_of_jdbc", Jdbc::escapes);
        check("a_function_is_called", Jdbc::callFunction);
        check("a_function_of_the_system_is_called", Jdbc::callBuiltin);
        check("a_procedure_is_made_called_and_told", Jdbc::callProcedure);
        check("set_schema", Jdbc::setSchema);
        check("catalogs_and_schemas", Jdbc::catalogsAndSchemas);
        check("table_types", Jdbc::tableTypes);
        check("tables", Jdbc::tables);
        check("materialized_views", Jdbc::materializedViews);
        check("columns", Jdbc::columns);
        check("columns_by_pattern", Jdbc::columnsByPattern);
        check("columns_of_system_tables", Jdbc::columnsOfSystemTables);
        check("primary_keys", Jdbc::primaryKeys);
        check("index_info", Jdbc::indexInfo);
        check("imported_keys", Jdbc::importedKeys);
        check("exported_keys", Jdbc::exportedKeys);
        check("cross_reference", Jdbc::crossReference);
        check("best_row_identifier_and_version_columns", Jdbc::rowIdentifier);
        check("type_info", Jdbc::typeInfo);
        check("table_privileges", Jdbc::tablePrivileges);
        check("column_privileges", Jdbc::columnPrivileges);
        check("functions", Jdbc::functions);
        check("procedures_that_there_are_not", Jdbc::procedures);
        check("user_types", Jdbc::userTypes);
        check("client_info_and_limits", Jdbc::clientInfo);
        check("metadata_of_a_result", Jdbc::resultMetaData);
        check("metadata_of_a_result_before_it_runs", Jdbc::resultMetaDataBefore);
        check("metadata_of_parameters", Jdbc::parameterMetaData);
        check("simple_queries_alone", Jdbc::simpleQueries);
        check("extended_for_prepared_only", Jdbc::extendedForPrepared);
        System.out.flush();
        System.exit(failed == 0 ? 0 : 1);
    }

    // What the checks are written with.

    static Connection open(String... options) throws SQLException {
        Properties properties = new Properties();
        properties.put("user", "admin");
        properties.put("connectTimeout", "10");
        for (String option : options) {
            if (!option.isEmpty()) {
                properties.put(option.substring(0, option.indexOf('=')), option.substring(option.indexOf('=') + 1));
            }
        }
        return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + PORT + "/dev", properties);
    }

    static String shown(Object value) {
        if (value instanceof byte[]) {
            return Arrays.toString((byte[]) value);
        }
        if (value instanceof Object[]) {
            return Arrays.deepToString((Object[]) value);
        }
        String text = String.valueOf(value);
        return text.length() > 300 ? text.substring(0, 300) + "…" : text;
    }

    static void equal(Object found, Object expected) {
        if (!java.util.Objects.deepEquals(found, expected)) {
            throw new AssertionError("\n  expected: " + shown(expected) + "\n  found:    " + shown(found));
        }
    }

    static void none(List<String> wrong) {
        if (!wrong.isEmpty()) {
            throw new AssertionError("\n  " + String.join("\n  ", wrong));
        }
    }

    static void same(List<String> wrong, String what, Object found, Object expected) {
        if (!java.util.Objects.deepEquals(found, expected)) {
            wrong.add(what + ": " + shown(found) + " instead of " + shown(expected));
        }
    }

    static void fails(String state, Body body) throws Exception {
        try {
            body.run();
        } catch (SQLException error) {
            if (!state.equals(error.getSQLState())) {
                throw new AssertionError("expected " + state + ", found " + error.getSQLState() + ": " + error.getMessage(), error);
            }
            return;
        }
        throw new AssertionError("no error, expected " + state);
    }

    static void run(Connection conn, String... texts) throws SQLException {
        try (Statement statement = conn.createStatement()) {
            for (String text : texts) {
                statement.execute(text);
            }
        }
    }

    static Object one(Connection conn, String text) throws SQLException {
        try (Statement statement = conn.createStatement(); ResultSet rows = statement.executeQuery(text)) {
            rows.next();
            return rows.getObject(1);
        }
    }

    /** Each row as its named columns' strings, joined by a bar. */
    static List<String> rows(ResultSet rows, String... columns) throws SQLException {
        List<String> found = new ArrayList<>();
        try (rows) {
            while (rows.next()) {
                List<String> row = new ArrayList<>();
                for (String column : columns) {
                    row.add(rows.getString(column));
                }
                found.add(String.join("|", row.stream().map(String::valueOf).toList()));
            }
        }
        return found;
    }

    static List<String> names(ResultSet rows) throws SQLException {
        List<String> found = new ArrayList<>();
        ResultSetMetaData meta = rows.getMetaData();
        for (int i = 1; i <= meta.getColumnCount(); i++) {
            found.add(meta.getColumnName(i));
        }
        return found;
    }

    static void prepare() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE SCHEMA jdbc_meta",
                "CREATE TABLE jdbc_meta.parent (id bigint NOT NULL PRIMARY KEY, code varchar(20) NOT NULL DEFAULT 'x', price numeric(10,2) DEFAULT 0,"
                    + " born date, at timestamp, zoned timestamptz, flag boolean DEFAULT true, small smallint, whole int, half real,"
                    + " full_ double precision, long_text text, fixed char(5), moment time)",
                "CREATE TABLE jdbc_meta.child (a int NOT NULL, b int NOT NULL, parent_id bigint, other text UNIQUE,"
                    + " CONSTRAINT child_key PRIMARY KEY (b, a), CONSTRAINT child_parent FOREIGN KEY (parent_id) REFERENCES jdbc_meta.parent (id))",
                "CREATE TABLE jdbc_meta.counted (id int GENERATED BY DEFAULT AS IDENTITY, name text)",
                "CREATE VIEW jdbc_meta.seen AS SELECT id, code FROM jdbc_meta.parent",
                "COMMENT ON TABLE jdbc_meta.parent IS 'what others refer to'",
                "COMMENT ON COLUMN jdbc_meta.parent.code IS 'its short name'",
                "CREATE FUNCTION jdbc_meta.plus(int, int) RETURNS int IMMUTABLE AS $$ SELECT $1 + $2 $$ LANGUAGE sql",
                "CREATE TABLE jdbc_meta.called (n int)");
        }
    }

    // Connections.

    static void connects() throws Exception {
        try (Connection conn = open()) {
            DatabaseMetaData meta = conn.getMetaData();
            equal(meta.getDatabaseProductName(), "PostgreSQL");
            equal(meta.getDatabaseMajorVersion(), 15);
            equal(meta.getDatabaseProductVersion().startsWith("15."), true);
            equal(meta.getUserName(), "admin");
            equal(meta.getURL().endsWith("/dev"), true);
            equal(conn.getCatalog(), "dev");
            equal(conn.getSchema(), "public");
            equal(conn.getAutoCommit(), true);
            equal(conn.unwrap(PGConnection.class).getParameterStatus("server_encoding"), "UTF8");
            equal(conn.unwrap(PGConnection.class).getParameterStatus("TimeZone"), "UTC");
        }
    }

    static void isValid() throws Exception {
        Connection conn = open();
        equal(conn.isValid(5), true);
        conn.setNetworkTimeout(Runnable::run, 20_000);
        equal(one(conn, "SELECT 1"), 1);
        conn.setClientInfo("ApplicationName", "a name");
        equal(one(conn, "SHOW application_name"), "a name");
        equal(conn.getClientInfo("ApplicationName"), "a name");
        equal(conn.unwrap(PGConnection.class).getBackendPID(), one(conn, "SELECT pg_backend_pid()"));
        conn.abort(Runnable::run);
        equal(conn.isValid(1), false);
    }

    static void connectionParameters() throws Exception {
        try (Connection conn = open("currentSchema=jdbc_meta", "ApplicationName=named", "options=-c statement_timeout=12345",
            "assumeMinServerVersion=15", "tcpKeepAlive=true", "loginTimeout=10")) {
            List<String> wrong = new ArrayList<>();
            same(wrong, "schema", conn.getSchema(), "jdbc_meta");
            same(wrong, "application_name", one(conn, "SHOW application_name"), "named");
            same(wrong, "statement_timeout", one(conn, "SHOW statement_timeout"), "12345ms");
            same(wrong, "extra_float_digits", one(conn, "SHOW extra_float_digits"), "3");
            same(wrong, "datestyle", one(conn, "SHOW datestyle"), "ISO, MDY");
            same(wrong, "child", one(conn, "SELECT count(*) FROM child"), 0L);
            none(wrong);
        }
        try (Connection conn = open("readOnly=true", "targetServerType=primary")) {
            equal(conn.isReadOnly(), true);
        }
    }

    // Values.

    static final PGInterval INTERVAL = interval(1, 2, 3, 4, 5, 6.5);
    static final Object[][] VALUES = {
        {"boolean", true}, {"boolean", false},
        {"smallint", (short) -32768}, {"smallint", (short) 32767}, {"int", Integer.MIN_VALUE}, {"int", Integer.MAX_VALUE},
        {"bigint", Long.MIN_VALUE}, {"bigint", Long.MAX_VALUE},
        {"real", 1.5f}, {"real", Float.MAX_VALUE}, {"real", 1e-30f}, {"real", Float.NaN}, {"real", Float.NEGATIVE_INFINITY}, {"real", 0.1f},
        {"double precision", 0.1}, {"double precision", Double.MAX_VALUE}, {"double precision", 1e-300}, {"double precision", Double.NaN},
        {"double precision", Double.POSITIVE_INFINITY},
        {"numeric(38,10)", new BigDecimal("9999999999999999999999999999.9999999999")},
        {"numeric(38,10)", new BigDecimal("-9999999999999999999999999999.9999999999")},
        {"numeric(38,10)", new BigDecimal("0.0000000001")}, {"numeric(38,10)", new BigDecimal("0.0000000000")},
        {"numeric(38,0)", new BigDecimal("-99999999999999999999999999999999999999")}, {"numeric(10,2)", new BigDecimal("12.30")},
        {"numeric", new BigDecimal("12.5")}, {"numeric", new BigDecimal("1234567890123456789012345.678901")}, {"numeric", new BigDecimal("10000")},
        {"text", "läuft 🚀"}, {"text", ""}, {"varchar", "x".repeat(100_000)}, {"varchar(20)", "it's \\ \"q\"\n\t"}, {"char(3)", "abc"},
        {"date", LocalDate.of(2013, 1, 1)}, {"date", LocalDate.of(1969, 12, 31)}, {"date", LocalDate.of(1, 1, 1)},
        {"date", LocalDate.of(1582, 10, 10)}, {"date", LocalDate.of(9999, 12, 31)},
        {"time", LocalTime.of(0, 0)}, {"time", LocalTime.of(1, 2, 3, 4_000)}, {"time", LocalTime.of(23, 59, 59, 999_999_000)},
        {"timestamp", LocalDateTime.of(2013, 1, 1, 5, 0, 0, 123_456_000)}, {"timestamp", LocalDateTime.of(1900, 1, 1, 0, 0)},
        {"timestamp", LocalDateTime.of(1, 1, 1, 0, 0)}, {"timestamp", LocalDateTime.of(1969, 12, 31, 23, 59, 59, 999_999_000)},
        {"timestamp", LocalDateTime.of(9999, 12, 31, 23, 59, 59, 999_999_000)},
        {"timestamptz", OffsetDateTime.of(2013, 1, 1, 5, 0, 0, 123_456_000, ZoneOffset.UTC)},
        {"timestamptz", OffsetDateTime.of(1900, 1, 1, 0, 0, 0, 0, ZoneOffset.UTC)},
        {"timestamptz", OffsetDateTime.of(9999, 12, 31, 23, 59, 59, 0, ZoneOffset.UTC)},
        {"interval", INTERVAL}, {"interval", interval(0, 0, 0, 0, 0, 0)}, {"interval", interval(0, -1, -2, -3, -4, -5.25)},
        {"uuid", UUID.fromString("12345678-9abc-def0-1234-56789abcdef0")},
        {"bytea", new byte[] {0, 1, -1, 92, 39}}, {"bytea", new byte[0]},
        {"json", object("json", "{\"a\": [1, null]}")},
    };

    static PGInterval interval(int years, int months, int days, int hours, int minutes, double seconds) {
        return new PGInterval(years, months, days, hours, minutes, seconds);
    }

    static PGobject object(String type, String value) {
        try {
            PGobject object = new PGobject();
            object.setType(type);
            object.setValue(value);
            return object;
        } catch (SQLException error) {
            throw new IllegalArgumentException(error);
        }
    }

    static Object got(ResultSet rows, int column, Object like) throws SQLException {
        if (like instanceof byte[]) {
            return rows.getBytes(column);
        }
        return like.getClass() == PGobject.class ? rows.getObject(column) : rows.getObject(column, like.getClass());
    }

    static void valuesBothWays(String mode) throws Exception {
        List<String> wrong = new ArrayList<>();
        try (Connection conn = open(mode)) {
            for (Object[] pair : VALUES) {
                if (mode.endsWith("simple") && pair[1] instanceof byte[]) {
                    continue; // the driver writes no bytes into a simple query
                }
                String what = pair[0] + " " + shown(pair[1]) + ": ";
                try (PreparedStatement statement = conn.prepareStatement("SELECT CAST(? AS " + pair[0] + ") AS v")) {
                    statement.setObject(1, pair[1]);
                    for (int turn = 0; turn < 2; turn++) {
                        ResultSet rows = statement.executeQuery();
                        rows.next();
                        Object found = got(rows, 1, pair[1]);
                        if (!java.util.Objects.deepEquals(found, pair[1])) {
                            wrong.add(what + shown(found));
                            break;
                        }
                    }
                } catch (SQLException error) {
                    wrong.add(what + error.getSQLState() + " " + error.getMessage());
                }
            }
        }
        none(wrong);
    }

    static void infiniteDates() throws Exception {
        Object[][] values = {
            {"date", LocalDate.MAX}, {"date", LocalDate.MIN}, {"date", LocalDate.of(-43, 3, 15)}, {"date", LocalDate.of(294276, 12, 31)},
            {"timestamp", LocalDateTime.MAX}, {"timestamp", LocalDateTime.MIN}, {"timestamp", LocalDateTime.of(-43, 3, 15, 12, 0)},
            {"timestamp", LocalDateTime.of(294276, 12, 31, 23, 59, 59)},
            {"timestamptz", OffsetDateTime.MAX}, {"timestamptz", OffsetDateTime.MIN},
            {"timestamptz", OffsetDateTime.of(-43, 3, 15, 12, 0, 0, 0, ZoneOffset.UTC)},
        };
        List<String> wrong = new ArrayList<>();
        for (String mode : new String[] {"binaryTransfer=false", "prepareThreshold=-1"}) {
            try (Connection conn = open(mode)) {
                for (Object[] pair : values) {
                    String what = mode + ": " + pair[0] + " " + pair[1] + ": ";
                    try (PreparedStatement statement = conn.prepareStatement("SELECT CAST(? AS " + pair[0] + ")")) {
                        statement.setObject(1, pair[1]);
                        ResultSet rows = statement.executeQuery();
                        rows.next();
                        Object found = got(rows, 1, pair[1]);
                        if (!found.equals(pair[1])) {
                            wrong.add(what + found);
                        }
                    } catch (SQLException error) {
                        wrong.add(what + error.getSQLState() + " " + error.getMessage());
                    }
                }
            }
        }
        none(wrong);
    }

    static void oldTimes() throws Exception {
        for (String mode : new String[] {"binaryTransfer=false", "prepareThreshold=-1"}) {
            try (Connection conn = open(mode);
                PreparedStatement statement = conn.prepareStatement("SELECT CAST(? AS timestamp), CAST(? AS timestamptz), CAST(? AS date), CAST(? AS time)")) {
                Timestamp at = Timestamp.valueOf("2013-06-01 05:06:07.123456");
                statement.setTimestamp(1, at);
                statement.setTimestamp(2, at, Calendar.getInstance(TimeZone.getTimeZone("America/New_York")));
                statement.setDate(3, java.sql.Date.valueOf("2013-06-01"));
                statement.setTime(4, java.sql.Time.valueOf("05:06:07"));
                ResultSet rows = statement.executeQuery();
                rows.next();
                equal(rows.getTimestamp(1), at);
                equal(rows.getTimestamp(2), at);
                equal(rows.getDate(3), java.sql.Date.valueOf("2013-06-01"));
                equal(rows.getTime(4), java.sql.Time.valueOf("05:06:07"));
                equal(rows.getObject(2, OffsetDateTime.class), OffsetDateTime.of(2013, 6, 1, 5, 6, 7, 123_456_000, ZoneOffset.UTC));
            }
        }
    }

    static void nullsOfAllTypes() throws Exception {
        String[] types = {"boolean", "smallint", "int", "bigint", "real", "double precision", "numeric(38,10)", "text", "varchar(10)", "date", "time",
            "timestamp", "timestamptz", "interval", "uuid", "bytea", "json", "int[]", "text[]"};
        int[] jdbc = {Types.BOOLEAN, Types.SMALLINT, Types.INTEGER, Types.BIGINT, Types.REAL, Types.DOUBLE, Types.NUMERIC, Types.VARCHAR, Types.VARCHAR,
            Types.DATE, Types.TIME, Types.TIMESTAMP, Types.TIMESTAMP_WITH_TIMEZONE, Types.OTHER, Types.OTHER, Types.BINARY, Types.OTHER, Types.ARRAY,
            Types.ARRAY};
        List<String> wrong = new ArrayList<>();
        for (String mode : new String[] {"binaryTransfer=false", "prepareThreshold=-1", "preferQueryMode=simple"}) {
            try (Connection conn = open(mode)) {
                for (int i = 0; i < types.length; i++) {
                    for (int type : new int[] {jdbc[i], Types.NULL}) {
                        try (PreparedStatement statement = conn.prepareStatement("SELECT CAST(? AS " + types[i] + ")")) {
                            statement.setNull(1, type);
                            ResultSet rows = statement.executeQuery();
                            rows.next();
                            if (rows.getObject(1) != null || !rows.wasNull()) {
                                wrong.add(mode + " " + types[i] + ": not null");
                            }
                        } catch (SQLException error) {
                            wrong.add(mode + " " + types[i] + ": " + error.getMessage());
                        }
                    }
                }
            }
        }
        none(wrong);
    }

    static void arrays(String mode) throws Exception {
        Object[][] values = {
            {"int4", new Integer[] {1, null, -3}}, {"int8", new Long[] {Long.MIN_VALUE, 2L}}, {"int2", new Short[] {1, 2}}, {"int4", new Integer[0]},
            {"text", new String[] {"a", "b\"c", null, "", "d,e", "{f}", "NULL", "\\"}}, {"varchar", new String[] {"v", null}},
            {"float8", new Double[] {0.5, null, 1e300}}, {"float4", new Float[] {0.5f}}, {"bool", new Boolean[] {true, false, null}},
            {"numeric", new BigDecimal[] {new BigDecimal("1.50"), null}},
            {"date", new java.sql.Date[] {java.sql.Date.valueOf("2013-01-01"), null}},
            {"timestamp", new Timestamp[] {Timestamp.valueOf("2013-01-01 05:00:00.5")}},
            {"timestamptz", new Timestamp[] {Timestamp.valueOf("2013-01-01 05:00:00.5")}},
            {"uuid", new UUID[] {UUID.fromString("12345678-9abc-def0-1234-56789abcdef0")}},
            {"bytea", new byte[][] {{0, 1}, {}}},
            {"int4", new Integer[][] {{1, 2}, {3, 4}}},
        };
        List<String> wrong = new ArrayList<>();
        try (Connection conn = open(mode)) {
            for (Object[] pair : values) {
                String what = pair[0] + "[] " + shown(pair[1]) + ": ";
                try (PreparedStatement statement = conn.prepareStatement("SELECT CAST(? AS " + pair[0] + "[])")) {
                    statement.setArray(1, conn.createArrayOf((String) pair[0], (Object[]) pair[1]));
                    ResultSet rows = statement.executeQuery();
                    rows.next();
                    Array found = rows.getArray(1);
                    if (!java.util.Objects.deepEquals(found.getArray(), pair[1]) || !found.getBaseTypeName().equals(pair[0])) {
                        wrong.add(what + found.getBaseTypeName() + " " + shown(found.getArray()));
                    }
                } catch (SQLException error) {
                    wrong.add(what + error.getSQLState() + " " + error.getMessage());
                }
            }
        }
        none(wrong);
    }

    static void parameterForAny() throws Exception {
        for (String mode : new String[] {"binaryTransfer=false", "prepareThreshold=-1"}) {
            try (Connection conn = open(mode);
                PreparedStatement statement = conn.prepareStatement("SELECT n FROM generate_series(1, 10) AS g(n) WHERE n = ANY (?) ORDER BY n")) {
                statement.setArray(1, conn.createArrayOf("int4", new Integer[] {3, 7, 70}));
                equal(rows(statement.executeQuery(), "n"), List.of("3", "7"));
                statement.setObject(1, new int[] {4});
                equal(rows(statement.executeQuery(), "n"), List.of("4"));
            }
        }
    }

    static void tableOfAllTypes(String mode, String suffix) throws Exception {
        Object[][] values = {
            {"boolean", true}, {"smallint", (short) 7}, {"int", 8}, {"bigint", 9L}, {"real", 0.1f}, {"double precision", 0.1},
            {"numeric(38,10)", new BigDecimal("1.0000000001")}, {"text", "läuft"}, {"varchar(10)", "ten"}, {"date", LocalDate.of(2013, 1, 1)},
            {"time", LocalTime.of(1, 2, 3)}, {"timestamp", LocalDateTime.of(2013, 1, 1, 5, 0, 0, 123_456_000)},
            {"timestamptz", OffsetDateTime.of(2013, 1, 1, 5, 0, 0, 0, ZoneOffset.UTC)}, {"interval", INTERVAL},
            {"uuid", UUID.fromString("12345678-9abc-def0-1234-56789abcdef0")}, {"bytea", new byte[] {0, 1, -1}}, {"json", object("json", "{\"a\": 1}")},
        };
        List<String> wrong = new ArrayList<>();
        try (Connection conn = open(mode)) {
            for (int i = 0; i < values.length; i++) {
                String table = "jdbc_of_type_" + suffix + i;
                try {
                    run(conn, "CREATE TABLE " + table + " (id int, v " + values[i][0] + ")");
                    try (PreparedStatement insert = conn.prepareStatement("INSERT INTO " + table + " VALUES (?, ?)")) {
                        insert.setInt(1, 1);
                        insert.setObject(2, values[i][1]);
                        equal(insert.executeUpdate(), 1);
                        insert.setInt(1, 2);
                        insert.setNull(2, Types.NULL);
                        equal(insert.executeUpdate(), 1);
                    }
                    try (PreparedStatement select = conn.prepareStatement("SELECT v FROM " + table + " WHERE id IN (?, ?) ORDER BY id")) {
                        select.setInt(1, 1);
                        select.setLong(2, 2);
                        ResultSet rows = select.executeQuery();
                        rows.next();
                        equal(got(rows, 1, values[i][1]), values[i][1]);
                        rows.next();
                        equal(rows.getObject(1), null);
                    }
                    if (i != values.length - 1) {
                        try (PreparedStatement select = conn.prepareStatement("SELECT count(*) FROM " + table + " WHERE v " + (i == 4 ? "> ? - 1" : "= ?"))) {
                            select.setObject(1, values[i][1]);
                            ResultSet rows = select.executeQuery();
                            rows.next();
                            equal(rows.getLong(1), 1L);
                        }
                    }
                } catch (SQLException | AssertionError error) {
                    wrong.add(values[i][0] + ": " + error.getMessage());
                }
            }
        }
        none(wrong);
    }

    static void unknownStrings() throws Exception {
        try (Connection conn = open("stringtype=unspecified")) {
            run(conn, "CREATE TABLE jdbc_unknown (a int, b date, c numeric(8,2), d uuid, e timestamptz, f boolean)");
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO jdbc_unknown VALUES (?, ?, ?, ?, ?, ?)")) {
                String[] texts = {"1", "2013-01-01", "1.5", "12345678-9abc-def0-1234-56789abcdef0", "2013-01-01 00:00:00+00", "t"};
                for (int i = 0; i < texts.length; i++) {
                    insert.setString(i + 1, texts[i]);
                }
                equal(insert.executeUpdate(), 1);
            }
            try (PreparedStatement select = conn.prepareStatement("SELECT c FROM jdbc_unknown WHERE a = ? AND b >= ? AND d = ? AND e < ? AND f = ?")) {
                String[] texts = {"1", "2012-12-31", "12345678-9abc-def0-1234-56789abcdef0", "2014-01-01", "true"};
                for (int i = 0; i < texts.length; i++) {
                    select.setString(i + 1, texts[i]);
                }
                equal(rows(select.executeQuery(), "c"), List.of("1.50"));
            }
        }
    }

    // Many rows in, and what comes of them.

    static void batch(String mode, String table) throws Exception {
        try (Connection conn = open(mode)) {
            run(conn, "CREATE TABLE " + table + " (id bigint, name text, at timestamp)");
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO " + table + " (id, name, at) VALUES (?, ?, ?)")) {
                for (int i = 0; i < 1001; i++) {
                    insert.setLong(1, i);
                    insert.setString(2, i % 10 == 0 ? null : "name " + i);
                    insert.setObject(3, LocalDateTime.of(2013, 1, 1, 0, 0).plusMinutes(i));
                    insert.addBatch();
                }
                int[] counts = insert.executeBatch();
                equal(counts.length, 1001);
                equal(counts[0], mode.isEmpty() ? 1 : Statement.SUCCESS_NO_INFO);
            }
            ResultSet rows = conn.createStatement().executeQuery("SELECT count(*) AS a, sum(id) AS b, count(name) AS c, max(at) AS d FROM " + table);
            equal(rows(rows, "a", "b", "c", "d"), List.of("1001|500500|900|2013-01-01 16:40:00"));
        }
    }

    static void batchOfUpdates() throws Exception {
        try (Connection conn = open()) {
            conn.setAutoCommit(false);
            run(conn, "CREATE TABLE jdbc_updated (id int, n int)", "INSERT INTO jdbc_updated SELECT g, 0 FROM generate_series(1, 10) AS x(g)");
            try (PreparedStatement update = conn.prepareStatement("UPDATE jdbc_updated SET n = ? WHERE id <= ?")) {
                for (int i = 1; i <= 3; i++) {
                    update.setInt(1, i);
                    update.setInt(2, i);
                    update.addBatch();
                }
                equal(update.executeBatch(), new int[] {1, 2, 3});
            }
            try (Statement statement = conn.createStatement()) {
                statement.addBatch("UPDATE jdbc_updated SET n = 9 WHERE id > 8");
                statement.addBatch("DELETE FROM jdbc_updated WHERE id = 1");
                statement.addBatch("INSERT INTO jdbc_updated VALUES (11, 1), (12, 1), (13, 1)");
                equal(statement.executeBatch(), new int[] {2, 1, 3});
                equal(statement.executeLargeUpdate("DELETE FROM jdbc_updated WHERE id > 10"), 3L);
            }
            conn.commit();
            equal(one(conn, "SELECT sum(n) FROM jdbc_updated"), 3L + 3L + 18L);
            conn.rollback();
        }
    }

    static void batchThatFails() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE TABLE jdbc_failed (id int NOT NULL)");
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO jdbc_failed VALUES (?)")) {
                for (Integer i : new Integer[] {1, null, 3}) {
                    insert.setObject(1, i, Types.INTEGER);
                    insert.addBatch();
                }
                insert.executeBatch();
                throw new AssertionError("no error");
            } catch (BatchUpdateException error) {
                equal(error.getSQLState(), "23502");
                equal(error.getUpdateCounts().length, 3);
                equal(error.getUpdateCounts()[1], Statement.EXECUTE_FAILED);
            }
            equal(one(conn, "SELECT count(*) FROM jdbc_failed"), 0L);
        }
    }

    static void generatedKeys() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE TABLE jdbc_keys (id int GENERATED BY DEFAULT AS IDENTITY, name text, made int DEFAULT 7)");
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO jdbc_keys (name) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
                insert.setString(1, "one");
                equal(insert.executeUpdate(), 1);
                ResultSet keys = insert.getGeneratedKeys();
                equal(names(keys), List.of("id", "name", "made"));
                int id = Integer.parseInt(rows(keys, "id", "name", "made").get(0).split("\\|")[0]);
                equal(one(conn, "SELECT id FROM jdbc_keys WHERE name = 'one'"), id);
            }
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO jdbc_keys (name) VALUES (?), ('three')", new String[] {"made", "name"})) {
                insert.setString(1, "two");
                equal(insert.executeUpdate(), 2);
                equal(rows(insert.getGeneratedKeys(), "made", "name"), List.of("7|two", "7|three"));
            }
            try (Statement statement = conn.createStatement()) {
                equal(statement.executeUpdate("UPDATE jdbc_keys SET made = made + 1 WHERE name = 'two'", new String[] {"made"}), 1);
                equal(rows(statement.getGeneratedKeys(), "made"), List.of("8"));
                equal(statement.executeUpdate("DELETE FROM jdbc_keys WHERE name = 'two'", Statement.RETURN_GENERATED_KEYS), 1);
                equal(rows(statement.getGeneratedKeys(), "made"), List.of("8"));
            }
            equal(one(conn, "SELECT count(DISTINCT id) FROM jdbc_keys"), 2L);
        }
    }

    static void generatedKeysOfBatch() throws Exception {
        for (String mode : new String[] {"", "reWriteBatchedInserts=true"}) {
            try (Connection conn = open(mode)) {
                String table = "jdbc_batch_keys" + mode.length();
                run(conn, "CREATE TABLE " + table + " (id int GENERATED BY DEFAULT AS IDENTITY, name text)");
                try (PreparedStatement insert = conn.prepareStatement("INSERT INTO " + table + " (name) VALUES (?)", new String[] {"id", "name"})) {
                    for (int i = 0; i < 20; i++) {
                        insert.setString(1, "n" + i);
                        insert.addBatch();
                    }
                    insert.executeBatch();
                    List<String> found = rows(insert.getGeneratedKeys(), "name");
                    equal(found.size(), 20);
                    equal(found.get(19), "n19");
                }
                equal(one(conn, "SELECT count(DISTINCT id) FROM " + table), 20L);
            }
        }
    }

    static void returningAsQuery() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE TABLE jdbc_returned (id int, name text)");
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO jdbc_returned VALUES (?, ?) RETURNING id + 1 AS next, name")) {
                insert.setInt(1, 1);
                insert.setString(2, "a");
                equal(rows(insert.executeQuery(), "next", "name"), List.of("2|a"));
            }
            try (PreparedStatement delete = conn.prepareStatement("DELETE FROM jdbc_returned WHERE id = ? RETURNING *")) {
                delete.setInt(1, 1);
                equal(rows(delete.executeQuery(), "id", "name"), List.of("1|a"));
                equal(rows(delete.executeQuery(), "id", "name"), List.of());
            }
        }
    }

    // Results.

    static void rowsThroughPortal() throws Exception {
        for (String mode : new String[] {"binaryTransfer=false", "prepareThreshold=-1"}) {
            try (Connection conn = open(mode)) {
                conn.setAutoCommit(false);
                try (PreparedStatement select = conn.prepareStatement("SELECT n, 'row ' || n AS name FROM generate_series(1, ?) AS g(n) ORDER BY n")) {
                    select.setInt(1, 50_000);
                    select.setFetchSize(1000);
                    ResultSet rows = select.executeQuery();
                    long sum = 0;
                    int count = 0;
                    while (rows.next()) {
                        count++;
                        sum += rows.getInt(1);
                        if (!rows.getString(2).equals("row " + count)) {
                            throw new AssertionError("row " + count + ": " + rows.getString(2));
                        }
                        if (count == 2500) {
                            equal(one(conn, "SELECT 5"), 5);
                        }
                    }
                    equal(count, 50_000);
                    equal(sum, 50_000L * 50_001 / 2);
                }
                conn.commit();
            }
        }
    }

    static void twoPortals() throws Exception {
        try (Connection conn = open()) {
            conn.setAutoCommit(false);
            try (Statement first = conn.createStatement(); Statement second = conn.createStatement()) {
                first.setFetchSize(10);
                second.setFetchSize(7);
                ResultSet a = first.executeQuery("SELECT n FROM generate_series(1, 100) AS g(n) ORDER BY n");
                ResultSet b = second.executeQuery("SELECT n * 2 FROM generate_series(1, 100) AS g(n) ORDER BY n");
                for (int i = 1; i <= 100; i++) {
                    equal(a.next() && b.next(), true);
                    equal(b.getInt(1), 2 * a.getInt(1));
                }
                equal(a.next() || b.next(), false);
            }
            Statement given = conn.createStatement();
            given.setFetchSize(10);
            ResultSet rows = given.executeQuery("SELECT n FROM generate_series(1, 100) AS g(n)");
            rows.next();
            rows.close();
            conn.commit();
            equal(one(conn, "SELECT 1"), 1);
            conn.rollback();
        }
    }

    static void maxRows() throws Exception {
        try (Connection conn = open(); Statement statement = conn.createStatement()) {
            statement.setMaxRows(5);
            equal(rows(statement.executeQuery("SELECT n FROM generate_series(1, 100) AS g(n)"), "n").size(), 5);
            statement.setMaxRows(0);
            equal(rows(statement.executeQuery("SELECT n FROM generate_series(1, 100) AS g(n)"), "n").size(), 100);
            conn.setAutoCommit(false);
            statement.setMaxRows(25);
            statement.setFetchSize(10);
            equal(rows(statement.executeQuery("SELECT n FROM generate_series(1, 100) AS g(n)"), "n").size(), 25);
            conn.commit();
        }
    }

    static void scrollable() throws Exception {
        try (Connection conn = open(); Statement statement = conn.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY)) {
            ResultSet rows = statement.executeQuery("SELECT n FROM generate_series(1, 10) AS g(n)");
            equal(rows.last(), true);
            equal(rows.getRow(), 10);
            equal(rows.absolute(3) && rows.previous(), true);
            equal(rows.getInt(1), 2);
        }
    }

    static void updatable() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE TABLE jdbc_changed (id int PRIMARY KEY, name text)", "INSERT INTO jdbc_changed VALUES (1, 'a'), (2, 'b')");
            try (Statement statement = conn.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
                ResultSet rows = statement.executeQuery("SELECT id, name FROM jdbc_changed ORDER BY id");
                rows.next();
                rows.updateString("name", "z");
                rows.updateRow();
                rows.next();
                rows.deleteRow();
                rows.moveToInsertRow();
                rows.updateInt("id", 3);
                rows.updateString("name", "c");
                rows.insertRow();
            }
            equal(rows(conn.createStatement().executeQuery("SELECT id, name FROM jdbc_changed ORDER BY id"), "id", "name"), List.of("1|z", "3|c"));
        }
    }

    static void manyStatements() throws Exception {
        try (Connection conn = open(); Statement statement = conn.createStatement()) {
            equal(statement.execute("CREATE TABLE jdbc_many (a int); INSERT INTO jdbc_many VALUES (1), (2); SELECT a FROM jdbc_many ORDER BY a; SELECT 'x;y'"), false);
            equal(statement.getUpdateCount(), 0);
            equal(statement.getMoreResults(), false);
            equal(statement.getUpdateCount(), 2);
            equal(statement.getMoreResults(), true);
            equal(rows(statement.getResultSet(), "a"), List.of("1", "2"));
            equal(statement.getMoreResults(), true);
            ResultSet last = statement.getResultSet();
            last.next();
            equal(last.getString(1), "x;y");
            equal(statement.getMoreResults(), false);
            equal(statement.getUpdateCount(), -1);
            try (PreparedStatement two = conn.prepareStatement("INSERT INTO jdbc_many VALUES (?); DELETE FROM jdbc_many WHERE a < ?")) {
                two.setInt(1, 9);
                two.setInt(2, 3);
                two.execute();
            }
            equal(one(conn, "SELECT sum(a) FROM jdbc_many"), 9L);
        }
    }

    static void refCursor() throws Exception {
        try (Connection conn = open()) {
            conn.setAutoCommit(false);
            run(conn, "DECLARE jdbc_cursor CURSOR FOR SELECT n FROM generate_series(1, 20) AS g(n)");
            equal(rows(conn.createStatement().executeQuery("FETCH 3 FROM jdbc_cursor"), "n"), List.of("1", "2", "3"));
            equal(rows(conn.createStatement().executeQuery("FETCH FORWARD 2 FROM \"jdbc_cursor\""), "n"), List.of("4", "5"));
            equal(rows(conn.createStatement().executeQuery("FETCH ALL IN \"jdbc_cursor\""), "n").size(), 15);
            run(conn, "CLOSE \"jdbc_cursor\"");
            conn.commit();
        }
    }

    static void queryTimeout() throws Exception {
        try (Connection conn = open(); Statement statement = conn.createStatement()) {
            statement.setQueryTimeout(1);
            long started = System.nanoTime();
            fails("57014", () -> statement.executeQuery(SLOW));
            equal((System.nanoTime() - started) / 1e9 < 10, true);
            statement.setQueryTimeout(0);
            ResultSet rows = statement.executeQuery("SELECT 1");
            equal(rows.next(), true);
        }
    }

    static void cancel() throws Exception {
        try (Connection conn = open(); Statement statement = conn.createStatement()) {
            CompletableFuture<Void> other = CompletableFuture.runAsync(() -> {
                try {
                    Thread.sleep(700);
                    statement.cancel();
                } catch (InterruptedException | SQLException error) {
                    throw new IllegalStateException(error);
                }
            });
            long started = System.nanoTime();
            fails("57014", () -> statement.executeQuery(SLOW));
            other.get();
            equal((System.nanoTime() - started) / 1e9 < 10, true);
            equal(one(conn, "SELECT 1"), 1);
        }
    }

    static void preparedAgain() throws Exception {
        try (Connection conn = open("prepareThreshold=3"); PreparedStatement select = conn.prepareStatement("SELECT ? + 1 AS a, ? || 'x' AS b, now() IS NOT NULL AS c")) {
            for (int i = 0; i < 12; i++) {
                select.setInt(1, i);
                select.setString(2, "s" + i);
                equal(rows(select.executeQuery(), "a", "b", "c"), List.of((i + 1) + "|s" + i + "x|t"));
                equal(select.unwrap(PGStatement.class).isUseServerPrepare(), i >= 1);
            }
            // Another type of parameter prepares it anew.
            select.setBigDecimal(1, new BigDecimal("1.5"));
            equal(rows(select.executeQuery(), "a"), List.of("2.5"));
        }
    }

    static void preparedOverDdl() throws Exception {
        try (Connection conn = open("prepareThreshold=1")) {
            run(conn, "CREATE TABLE jdbc_ddl (a int)", "INSERT INTO jdbc_ddl VALUES (1)");
            try (PreparedStatement select = conn.prepareStatement("SELECT * FROM jdbc_ddl")) {
                equal(names(select.executeQuery()), List.of("a"));
                equal(names(select.executeQuery()), List.of("a"));
                run(conn, "ALTER TABLE jdbc_ddl ADD COLUMN b text");
                // The driver prepares it again by itself: told so by 0A000 "cached plan must not change result type".
                equal(names(select.executeQuery()), List.of("a", "b"));
                run(conn, "DISCARD ALL");
                equal(names(select.executeQuery()), List.of("a", "b"));
            }
        }
    }

    static void parametersEverywhere() throws Exception {
        try (Connection conn = open("prepareThreshold=-1")) {
            run(conn, "CREATE TABLE jdbc_where (id int, name varchar(20), born date, price numeric(8,2), at timestamp)",
                "INSERT INTO jdbc_where VALUES (1, 'one', '2013-01-01', 1.5, '2013-01-01 10:00:00'), (2, 'two', '2014-01-01', 2.5, '2014-01-01 10:00:00')");
            Object[][] cases = {
                {"SELECT id FROM jdbc_where ORDER BY id LIMIT ? OFFSET ?", new Object[] {1, 1}, "2"},
                {"SELECT id FROM jdbc_where WHERE name LIKE ?", new Object[] {"%w%"}, "2"},
                {"SELECT id FROM jdbc_where WHERE name ILIKE ? AND born BETWEEN ? AND ?", new Object[] {"O%", LocalDate.of(2012, 1, 1), LocalDate.of(2013, 6, 1)}, "1"},
                {"SELECT id FROM jdbc_where WHERE price > ? AND at < ?", new Object[] {new BigDecimal("1.75"), LocalDateTime.of(2015, 1, 1, 0, 0)}, "2"},
                {"SELECT id FROM jdbc_where WHERE at >= ?", new Object[] {Timestamp.valueOf("2014-01-01 00:00:00")}, "2"},
                {"SELECT id FROM jdbc_where WHERE born = ?", new Object[] {java.sql.Date.valueOf("2013-01-01")}, "1"},
                {"SELECT id FROM jdbc_where WHERE id IN (?, ?, ?) AND id <> ?", new Object[] {1, 2, 3, 1}, "2"},
                {"SELECT coalesce(?, id) FROM jdbc_where WHERE id = ?", new Object[] {5, 1}, "5"},
                {"SELECT CASE WHEN id = ? THEN ? ELSE ? END FROM jdbc_where WHERE id = 2", new Object[] {2, "yes", "no"}, "yes"},
                {"WITH p AS (SELECT ? AS v) SELECT v || '!' FROM p", new Object[] {"a"}, "a!"},
                {"SELECT sum(id) FROM jdbc_where GROUP BY id HAVING sum(id) > ?", new Object[] {1L}, "2"},
                {"SELECT count(*) FROM jdbc_where WHERE ? = 1", new Object[] {1}, "2"},
                {"SELECT id FROM jdbc_where WHERE price * ? > 3 + ?", new Object[] {2.0, 1.0}, "2"},
                {"SELECT substring(? FROM ? FOR ?)", new Object[] {"abcdef", 2, 3}, "bcd"},
                {"SELECT date_trunc(?, at) FROM jdbc_where WHERE id = 1", new Object[] {"day"}, "2013-01-01 00:00:00"},
                {"SELECT extract(year FROM born + ?) FROM jdbc_where WHERE id = 1", new Object[] {400}, "2014"},
                {"SELECT at + ? * INTERVAL '1 day' FROM jdbc_where WHERE id = 1", new Object[] {2}, "2013-01-03 10:00:00"},
                {"SELECT v FROM (VALUES (?, 'a'), (?, 'b')) AS t(n, v) WHERE n = 2", new Object[] {1, 2}, "b"},
                {"SELECT id FROM jdbc_where WHERE (id, name) = (?, ?)", new Object[] {1, "one"}, "1"},
                {"SELECT EXISTS (SELECT 1 FROM jdbc_where WHERE id = ?)", new Object[] {1}, "t"},
                {"SELECT ?", new Object[] {"plain"}, "plain"},
            };
            List<String> wrong = new ArrayList<>();
            for (Object[] one : cases) {
                try (PreparedStatement select = conn.prepareStatement((String) one[0])) {
                    Object[] values = (Object[]) one[1];
                    for (int i = 0; i < values.length; i++) {
                        select.setObject(i + 1, values[i]);
                    }
                    ResultSet rows = select.executeQuery();
                    String found = rows.next() ? rows.getString(1) : "no row";
                    if (!found.equals(one[2]) && !(found + "!").equals(one[2] + ".0!")) {
                        wrong.add(one[0] + ": " + found + " instead of " + one[2]);
                    }
                } catch (SQLException error) {
                    wrong.add(one[0] + ": " + error.getSQLState() + " " + error.getMessage());
                }
            }
            none(wrong);
        }
    }

    // Transactions.

    static void savepoints() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE TABLE jdbc_saved (a int)");
            conn.setAutoCommit(false);
            run(conn, "INSERT INTO jdbc_saved VALUES (1)");
            Savepoint first = conn.setSavepoint("first one");
            run(conn, "INSERT INTO jdbc_saved VALUES (2)");
            Savepoint second = conn.setSavepoint();
            run(conn, "INSERT INTO jdbc_saved VALUES (3)");
            conn.rollback(second);
            equal(one(conn, "SELECT sum(a) FROM jdbc_saved"), 3L);
            conn.releaseSavepoint(second);
            fails("3B000", () -> conn.rollback(second));
            conn.rollback(first);
            fails("3B001", () -> run(conn, "ROLLBACK TO SAVEPOINT nowhere"));
            conn.rollback(first);
            run(conn, "INSERT INTO jdbc_saved VALUES (4)");
            conn.commit();
            equal(one(conn, "SELECT sum(a) FROM jdbc_saved"), 5L);
            conn.rollback();
        }
    }

    static void failedTransaction() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE TABLE jdbc_aborted (a int)");
            conn.setAutoCommit(false);
            run(conn, "INSERT INTO jdbc_aborted VALUES (1)");
            fails("22012", () -> run(conn, "SELECT 1 / 0"));
            fails("25P02", () -> run(conn, "SELECT 1"));
            try (PreparedStatement select = conn.prepareStatement("SELECT ?")) {
                select.setInt(1, 1);
                fails("25P02", select::executeQuery);
            }
            // COMMIT rolls a failed transaction back.
            conn.commit();
            equal(one(conn, "SELECT count(*) FROM jdbc_aborted"), 0L);
            conn.rollback();
        }
    }

    static void autosave() throws Exception {
        for (String mode : new String[] {"autosave=always", "autosave=conservative"}) {
            try (Connection conn = open(mode, "prepareThreshold=1")) {
                String table = "jdbc_autosaved" + mode.length();
                run(conn, "CREATE TABLE " + table + " (a int)");
                conn.setAutoCommit(false);
                run(conn, "INSERT INTO " + table + " VALUES (1)");
                try (PreparedStatement insert = conn.prepareStatement("INSERT INTO " + table + " VALUES (?)")) {
                    for (int i = 0; i < 3; i++) {
                        insert.setInt(1, i);
                        insert.executeUpdate();
                    }
                }
                if (mode.endsWith("always")) {
                    fails("22012", () -> run(conn, "SELECT 1 / 0"));
                    fails("42P01", () -> run(conn, "SELECT * FROM nowhere"));
                    equal(one(conn, "SELECT count(*) FROM " + table), 4L);
                }
                conn.commit();
                equal(one(conn, "SELECT count(*) FROM " + table), 4L);
                conn.rollback();
            }
        }
    }

    static void readOnly() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE TABLE jdbc_read (a int)");
            conn.setReadOnly(true);
            conn.setAutoCommit(false);
            fails("25006", () -> run(conn, "INSERT INTO jdbc_read VALUES (1)"));
            conn.rollback();
            fails("25006", () -> run(conn, "CREATE TABLE jdbc_read_not (a int)"));
            conn.rollback();
            equal(one(conn, "SELECT count(*) FROM jdbc_read"), 0L);
            conn.rollback();
            conn.setReadOnly(false);
            run(conn, "INSERT INTO jdbc_read VALUES (1)");
            conn.commit();
        }
    }

    static void readOnlyIsShown() throws Exception {
        try (Connection conn = open()) {
            conn.setReadOnly(true);
            conn.setAutoCommit(false);
            equal(one(conn, "SHOW transaction_read_only"), "on");
            conn.rollback();
            conn.setReadOnly(false);
            equal(one(conn, "SHOW transaction_read_only"), "off");
            conn.rollback();
        }
    }

    static void readOnlySession() throws Exception {
        try (Connection conn = open("readOnlyMode=always")) {
            run(conn, "CREATE TABLE jdbc_read_session (a int)", "INSERT INTO jdbc_read_session VALUES (1)");
            conn.setReadOnly(true);
            fails("25006", () -> run(conn, "UPDATE jdbc_read_session SET a = 2"));
            fails("25006", () -> run(conn, "DELETE FROM jdbc_read_session"));
            equal(one(conn, "SELECT a FROM jdbc_read_session"), 1);
            conn.setReadOnly(false);
            run(conn, "UPDATE jdbc_read_session SET a = 2");
        }
    }

    static void isolationLevels() throws Exception {
        try (Connection conn = open()) {
            for (int level : new int[] {Connection.TRANSACTION_SERIALIZABLE, Connection.TRANSACTION_REPEATABLE_READ, Connection.TRANSACTION_READ_COMMITTED}) {
                conn.setTransactionIsolation(level);
                equal(conn.getTransactionIsolation(), level);
                conn.setAutoCommit(false);
                equal(one(conn, "SELECT 1"), 1);
                equal(conn.getTransactionIsolation(), level);
                conn.commit();
                conn.setAutoCommit(true);
            }
        }
    }

    static void errors() throws Exception {
        String[][] cases = {
            {"SELEKT 1", "42601"}, {"SELECT * FROM nowhere", "42P01"}, {"SELECT nothing", "42703"}, {"SELECT nothing(1)", "42883"},
            {"SELECT 1 / 0", "22012"}, {"SELECT 'x'::int", "22P02"}, {"CREATE TABLE jdbc_meta.parent (a int)", "42P07"},
            {"SELECT 40000::smallint", "22003"}, {"SELECT * FROM no_schema.nowhere", "42P01"}, {"DROP TABLE nowhere", "42P01"},
            {"INSERT INTO jdbc_meta.parent (id, code) VALUES (1, NULL)", "23502"}, {"INSERT INTO jdbc_meta.parent (nothing) VALUES (1)", "42703"},
            {"INSERT INTO jdbc_meta.parent (id) VALUES (1, 2)", "42601"}, {"SELECT DATE '2013-13-01'", "22008"}, {"SELECT id FROM jdbc_meta.parent GROUP BY code", "42803"},
            {"INSERT INTO jdbc_meta.parent (id, code) VALUES (1, '012345678901234567890')", "22001"}, {"SELECT 'x'::uuid", "22P02"},
            {"SELECT 9223372036854775807 + 1", "22003"}, {"SET no_such_setting = 1", "42704"}, {"CREATE SCHEMA jdbc_meta", "42P06"},
            {"SELECT a.id FROM jdbc_meta.parent a, jdbc_meta.counted b WHERE id = 1", "42702"}, {"FETCH 1 FROM no_cursor", "34000"},
            {"SELECT 1 UNION SELECT 1, 2", "42601"}, {"SELECT CAST(1 AS no_type)", "42704"}, {"SELECT true + 1", "42883"},
            {"EXECUTE no_statement", "26000"}, {"SELECT (SELECT n FROM generate_series(1, 2) AS g(n))", "21000"},
        };
        List<String> wrong = new ArrayList<>();
        try (Connection conn = open()) {
            for (String[] pair : cases) {
                try {
                    run(conn, pair[0]);
                    wrong.add(pair[0] + ": no error");
                } catch (SQLException error) {
                    if (!pair[1].equals(error.getSQLState())) {
                        wrong.add(pair[0] + ": " + error.getSQLState() + " instead of " + pair[1] + ": " + error.getMessage());
                    }
                }
            }
        }
        none(wrong);
    }

    static void literals() throws Exception {
        String[][] cases = {
            {"SELECT TIMESTAMP '2013-01-01 10:00'", "2013-01-01 10:00:00"}, {"SELECT '2013-01-01T10:00:00'::timestamp", "2013-01-01 10:00:00"},
            {"SELECT '2013-01-01'::timestamp", "2013-01-01 00:00:00"}, {"SELECT '2013-01-01 10:00:00+02'::timestamptz", "2013-01-01 08:00:00+00"},
            {"SELECT '2013-01-01 10:00:00+02'::timestamp", "2013-01-01 10:00:00"}, {"SELECT '2013-01-01 +00'::date", "2013-01-01"},
            {"SELECT '2013-01-01 10:00:00'::date", "2013-01-01"}, {"SELECT '20130102'::date", "2013-01-02"}, {"SELECT '10:00'::time", "10:00:00"},
            {"SELECT '10:00:00+02'::time", "10:00:00"}, {"SELECT '1e3'::numeric(10,2)", "1000.00"}, {"SELECT '1E-10'::numeric(38,10)", "0.0000000001"},
            {"SELECT ' 5 '::int", "5"}, {"SELECT 'yes'::boolean", "t"}, {"SELECT 'off'::boolean", "f"}, {"SELECT '1'::boolean", "t"},
            {"SELECT '2013-01-01'::date + 1", "2013-01-02"}, {"SELECT 12.5::numeric", "12.5"}, {"SELECT 1.5::numeric + 1.25::numeric", "2.75"},
            {"SELECT 10.0 / 4", "2.5000000000000000"}, {"SELECT E'a\\n'", "a\n"}, {"SELECT U&'d\\0061t'", "dat"}, {"SELECT $$it's$$", "it's"},
            {"SELECT to_char(DATE '2013-05-01', 'Month')", "May      "}, {"SELECT trim(trailing FROM 'abc  ')", "abc"}, {"SELECT mod(7, 4)", "3"},
        };
        List<String> wrong = new ArrayList<>();
        try (Connection conn = open()) {
            for (String[] pair : cases) {
                try (Statement statement = conn.createStatement(); ResultSet rows = statement.executeQuery(pair[0])) {
                    rows.next();
                    same(wrong, pair[0], rows.getString(1), pair[1]);
                } catch (SQLException error) {
                    wrong.add(pair[0] + ": " + error.getSQLState() + " " + error.getMessage());
                }
            }
        }
        none(wrong);
    }

    static void warnings() throws Exception {
        try (Connection conn = open(); Statement statement = conn.createStatement()) {
            statement.execute("CREATE TABLE IF NOT EXISTS jdbc_meta.parent (a int)");
            equal(statement.getWarnings().getSQLState(), "42P07");
            equal(statement.getWarnings().getMessage(), "relation \"parent\" already exists, skipping");
            statement.execute("DROP TABLE IF EXISTS nowhere");
            equal(statement.getWarnings().getMessage(), "table \"nowhere\" does not exist, skipping");
        }
    }

    // COPY.

    static void copy() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE TABLE jdbc_copied (id int, name text, at timestamp)");
            CopyManager copies = conn.unwrap(PGConnection.class).getCopyAPI();
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < 5000; i++) {
                text.append(i).append('\t').append(i % 7 == 0 ? "\\N" : "tab\\t" + i).append("\t2013-01-01 00:00:00\n");
            }
            equal(copies.copyIn("COPY jdbc_copied FROM STDIN", new StringReader(text.toString())), 5000L);
            StringWriter out = new StringWriter();
            equal(copies.copyOut("COPY (SELECT * FROM jdbc_copied ORDER BY id) TO STDOUT", out), 5000L);
            equal(out.toString(), text.toString());
            equal(copies.copyIn("COPY jdbc_copied (id, name) FROM STDIN WITH (FORMAT csv, HEADER, NULL 'none')",
                new StringReader("id,name\n-1,\"a,\"\"b\nl\"\n-2,none\n")), 2L);
            out = new StringWriter();
            copies.copyOut("COPY (SELECT id, name FROM jdbc_copied WHERE id < 0 ORDER BY id) TO STDOUT WITH CSV HEADER DELIMITER ';'", out);
            equal(out.toString(), "id;name\n-2;\n-1;\"a,\"\"b\nl\"\n");
            conn.setAutoCommit(false);
            copies.copyIn("COPY jdbc_copied FROM STDIN", new StringReader("9\tx\t\\N\n"));
            conn.rollback();
            equal(one(conn, "SELECT count(*) FROM jdbc_copied"), 5002L);
            conn.rollback();
        }
    }

    static void copyBinary() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE TABLE jdbc_copied_binary (id int, name text, price numeric(10,2), at timestamptz)",
                "INSERT INTO jdbc_copied_binary VALUES (1, 'a', 1.5, '2013-01-01 00:00:00+00'), (2, NULL, NULL, NULL)");
            CopyManager copies = conn.unwrap(PGConnection.class).getCopyAPI();
            java.io.ByteArrayOutputStream out = new java.io.ByteArrayOutputStream();
            equal(copies.copyOut("COPY jdbc_copied_binary TO STDOUT WITH (FORMAT binary)", out), 2L);
            equal(new String(out.toByteArray(), 0, 6, "ISO-8859-1"), "PGCOPY");
            equal(copies.copyIn("COPY jdbc_copied_binary FROM STDIN WITH (FORMAT binary)", new java.io.ByteArrayInputStream(out.toByteArray())), 2L);
            equal(rows(conn.createStatement().executeQuery("SELECT DISTINCT id, name, price, at FROM jdbc_copied_binary ORDER BY id"), "id", "name", "price", "at"),
                List.of("1|a|1.50|2013-01-01 00:00:00+00", "2|null|null|null"));
        }
    }

    static void copyFails() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE TABLE jdbc_not_copied (id int)");
            CopyManager copies = conn.unwrap(PGConnection.class).getCopyAPI();
            fails("22P02", () -> copies.copyIn("COPY jdbc_not_copied FROM STDIN", new StringReader("1\nx\n")));
            fails("22P04", () -> copies.copyIn("COPY jdbc_not_copied FROM STDIN", new StringReader("1\t2\n")));
            var given = copies.copyIn("COPY jdbc_not_copied FROM STDIN");
            given.writeToCopy("1\n".getBytes(), 0, 2);
            given.cancelCopy();
            equal(one(conn, "SELECT count(*) FROM jdbc_not_copied"), 0L);
        }
    }

    // Calls.

    static void escapes() throws Exception {
        try (Connection conn = open()) {
            String[][] cases = {
                {"SELECT {d '2013-01-01'}", "2013-01-01"}, {"SELECT {ts '2013-01-01 05:00:00'}", "2013-01-01 05:00:00"}, {"SELECT {t '05:00:00'}", "05:00:00"},
                {"SELECT {fn ucase('a')}", "A"}, {"SELECT {fn concat('a', 'b')}", "ab"}, {"SELECT {fn length('abc')}", "3"},
                {"SELECT {fn year({d '2013-05-01'})}", "2013"}, {"SELECT {fn dayofweek({d '2013-01-01'})}", "3"}, {"SELECT {fn mod(7, 4)}", "3"},
                {"SELECT {fn substring('abc', 2, 1)}", "b"}, {"SELECT {fn locate('c', 'abc')}", "3"}, {"SELECT {fn ifnull(NULL, 'x')}", "x"},
                {"SELECT {fn user()}", "admin"}, {"SELECT {fn database()}", "dev"}, {"SELECT {fn monthname({d '2013-05-01'})}", "May      "},
                {"SELECT {fn timestampadd(SQL_TSI_DAY, 2, {ts '2013-01-01 05:00:00'})}", "2013-01-03 05:00:00"},
                {"SELECT {fn timestampdiff(SQL_TSI_HOUR, {ts '2013-01-01 05:00:00'}, {ts '2013-01-01 08:00:00'})}", "3"},
                {"SELECT {fn power(2, 3)}", "8"}, {"SELECT {fn left('abc', 2)}", "ab"}, {"SELECT {fn log10(100)}", "2"}, {"SELECT {fn char(65)}", "A"},
                {"SELECT a.n FROM {oj generate_series(1, 1) a(n) LEFT OUTER JOIN generate_series(1, 1) b(n) ON a.n = b.n}", "1"},
                {"SELECT 'a_b' LIKE 'a|_b' {escape '|'}", "t"},
            };
            List<String> wrong = new ArrayList<>();
            for (String[] pair : cases) {
                try (Statement statement = conn.createStatement(); ResultSet rows = statement.executeQuery(pair[0])) {
                    rows.next();
                    String found = rows.getString(1);
                    if (!found.equals(pair[1])) {
                        wrong.add(pair[0] + ": " + found);
                    }
                } catch (SQLException error) {
                    wrong.add(conn.nativeSQL(pair[0]) + ": " + error.getSQLState() + " " + error.getMessage());
                }
            }
            none(wrong);
        }
    }

    static void callFunction() throws Exception {
        try (Connection conn = open()) {
            equal(one(conn, "SELECT jdbc_meta.plus(1, 2)"), 3);
            equal(one(conn, "SELECT * FROM jdbc_meta.plus(1, 2) AS result"), 3);
            try (CallableStatement call = conn.prepareCall("{? = call jdbc_meta.plus(?, ?)}")) {
                call.registerOutParameter(1, Types.INTEGER);
                call.setInt(2, 40);
                call.setInt(3, 2);
                call.execute();
                equal(call.getInt(1), 42);
            }
        }
    }

    static void callBuiltin() throws Exception {
        try (Connection conn = open()) {
            try (CallableStatement call = conn.prepareCall("{? = call upper(?)}")) {
                call.registerOutParameter(1, Types.VARCHAR);
                call.setString(2, "abc");
                call.execute();
                equal(call.getString(1), "ABC");
            }
        }
    }

    static void callProcedure() throws Exception {
        try (Connection conn = open("escapeSyntaxCallMode=callIfNoReturn")) {
            run(conn, "CREATE PROCEDURE jdbc_note(n int) AS $$ BEGIN INSERT INTO jdbc_meta.called VALUES (n); END $$ LANGUAGE plpgsql");
            try (CallableStatement call = conn.prepareCall("{call jdbc_note(?)}")) {
                call.setInt(1, 5);
                call.execute();
            }
            try (PreparedStatement call = conn.prepareStatement("CALL jdbc_note(?)")) {
                call.setInt(1, 6);
                call.execute();
            }
            equal(one(conn, "SELECT sum(n) FROM jdbc_meta.called"), 11L);
            DatabaseMetaData meta = conn.getMetaData();
            equal(rows(meta.getProcedures(null, "public", "jdbc_note"), "PROCEDURE_SCHEM", "PROCEDURE_NAME", "PROCEDURE_TYPE"), List.of("public|jdbc_note|2"));
            equal(rows(meta.getProcedureColumns(null, "public", "jdbc_note", null), "COLUMN_NAME", "COLUMN_TYPE", "TYPE_NAME", "ORDINAL_POSITION")
                .contains("n|1|int4|1"), true);
        }
    }

    // Metadata.

    static void setSchema() throws Exception {
        try (Connection conn = open()) {
            conn.setSchema("jdbc_meta");
            equal(conn.getSchema(), "jdbc_meta");
            equal(one(conn, "SELECT count(*) FROM child"), 0L);
            conn.setSchema("public");
            equal(one(conn, "SELECT current_schema()"), "public");
        }
    }

    static void catalogsAndSchemas() throws Exception {
        try (Connection conn = open()) {
            DatabaseMetaData meta = conn.getMetaData();
            equal(rows(meta.getCatalogs(), "TABLE_CAT").contains("dev"), true);
            List<String> schemas = rows(meta.getSchemas(), "TABLE_SCHEM");
            equal(schemas.containsAll(List.of("information_schema", "jdbc_meta", "pg_catalog", "public")), true);
            equal(schemas.stream().sorted().toList(), schemas);
            equal(rows(meta.getSchemas(null, "jdbc_%"), "TABLE_SCHEM", "TABLE_CATALOG").size(), 1);
            equal(rows(meta.getSchemas("dev", "jdbc\\_meta"), "TABLE_SCHEM").get(0), "jdbc_meta");
        }
    }

    static void tableTypes() throws Exception {
        try (Connection conn = open()) {
            List<String> types = rows(conn.getMetaData().getTableTypes(), "TABLE_TYPE");
            equal(types.containsAll(List.of("TABLE", "VIEW", "MATERIALIZED VIEW", "SYSTEM TABLE", "SYSTEM VIEW", "TEMPORARY TABLE")), true);
        }
    }

    static void tables() throws Exception {
        try (Connection conn = open()) {
            DatabaseMetaData meta = conn.getMetaData();
            String[] told = {"TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS"};
            List<String> tables = List.of("jdbc_meta|called|TABLE|null", "jdbc_meta|child|TABLE|null", "jdbc_meta|counted|TABLE|null",
                "jdbc_meta|parent|TABLE|what others refer to");
            equal(rows(meta.getTables(null, "jdbc_meta", "%", new String[] {"TABLE"}), told), tables);
            equal(rows(meta.getTables("dev", "jdbc_meta", null, new String[] {"VIEW"}), told), List.of("jdbc_meta|seen|VIEW|null"));
            equal(rows(meta.getTables(null, "jdbc_meta", "%", new String[] {"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "PARTITIONED TABLE"}), told).size(), 5);
            equal(rows(meta.getTables(null, "jdbc\\_meta", "par%", new String[] {"TABLE", "VIEW"}), told), List.of("jdbc_meta|parent|TABLE|what others refer to"));
            equal(rows(meta.getTables(null, "pg_catalog", "pg_class", new String[] {"SYSTEM TABLE"}), "TABLE_NAME"), List.of("pg_class"));
            equal(rows(meta.getTables(null, "information_schema", "columns", new String[] {"SYSTEM VIEW"}), "TABLE_NAME"), List.of("columns"));
            run(conn, "CREATE TEMP TABLE jdbc_passing (a int)");
            equal(rows(meta.getTables(null, null, "jdbc_passing", new String[] {"TEMPORARY TABLE"}), "TABLE_NAME"), List.of("jdbc_passing"));
        }
    }

    static void materializedViews() throws Exception {
        try (Connection conn = open()) {
            run(conn, "CREATE MATERIALIZED VIEW jdbc_kept AS SELECT id FROM jdbc_meta.parent");
            equal(rows(conn.getMetaData().getTables(null, null, "jdbc_kept", null), "TABLE_TYPE"), List.of("MATERIALIZED VIEW"));
            equal(rows(conn.getMetaData().getTables(null, null, "jdbc_kept", new String[] {"TABLE"}), "TABLE_TYPE"), List.of());
        }
    }

    static void columns() throws Exception {
        try (Connection conn = open()) {
            ResultSet found = conn.getMetaData().getColumns(null, "jdbc_meta", "parent", "%");
            List<String> rows = rows(found, "ORDINAL_POSITION", "COLUMN_NAME", "TYPE_NAME", "DATA_TYPE", "COLUMN_SIZE", "DECIMAL_DIGITS", "NULLABLE", "IS_NULLABLE",
                "COLUMN_DEF", "REMARKS", "CHAR_OCTET_LENGTH", "IS_AUTOINCREMENT", "IS_GENERATEDCOLUMN");
            List<String> expected = List.of(
                "1|id|int8|-5|19|0|0|NO|null|null|19|NO|NO",
                "2|code|varchar|12|20|0|0|NO|'x'::character varying|its short name|20|NO|NO",
                "3|price|numeric|2|10|2|1|YES|0|null|10|NO|NO",
                "4|born|date|91|13|0|1|YES|null|null|13|NO|NO",
                "5|at|timestamp|93|29|6|1|YES|null|null|29|NO|NO",
                "6|zoned|timestamptz|93|35|6|1|YES|null|null|35|NO|NO",
                "7|flag|bool|-7|1|0|1|YES|true|null|1|NO|NO",
                "8|small|int2|5|5|0|1|YES|null|null|5|NO|NO",
                "9|whole|int4|4|10|0|1|YES|null|null|10|NO|NO",
                "10|half|float4|7|8|8|1|YES|null|null|8|NO|NO",
                "11|full_|float8|8|17|17|1|YES|null|null|17|NO|NO",
                "12|long_text|text|12|2147483647|0|1|YES|null|null|2147483647|NO|NO",
                "13|fixed|bpchar|1|5|0|1|YES|null|null|5|NO|NO",
                "14|moment|time|92|15|6|1|YES|null|null|15|NO|NO");
            List<String> wrong = new ArrayList<>();
            for (int i = 0; i < expected.size(); i++) {
                same(wrong, "column", i < rows.size() ? rows.get(i) : null, expected.get(i));
            }
            none(wrong);
            equal(rows.size(), expected.size());
        }
    }

    static void columnsByPattern() throws Exception {
        try (Connection conn = open()) {
            equal(rows(conn.getMetaData().getColumns(null, "jdbc_meta", "counted", null), "COLUMN_NAME", "TYPE_NAME", "NULLABLE", "IS_AUTOINCREMENT"),
                List.of("id|int4|0|YES", "name|text|1|NO"));
            equal(rows(conn.getMetaData().getColumns("dev", "jdbc_meta", "seen", "co%"), "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "ORDINAL_POSITION"),
                List.of("code|varchar|20|2"));
            equal(rows(conn.getMetaData().getColumns(null, "jdbc\\_meta", "full\\_", null), "COLUMN_NAME"), List.of());
            equal(rows(conn.getMetaData().getColumns(null, "jdbc_meta", null, "full\\_"), "TABLE_NAME"), List.of("parent"));
        }
    }

    static void columnsOfSystemTables() throws Exception {
        try (Connection conn = open()) {
            List<String> found = rows(conn.getMetaData().getColumns(null, "pg_catalog", "pg_namespace", null), "COLUMN_NAME", "TYPE_NAME");
            equal(found, List.of("oid|oid", "nspname|name", "nspowner|oid", "nspacl|_aclitem"));
            equal(rows(conn.getMetaData().getColumns(null, "information_schema", "schemata", "schema_name"), "COLUMN_NAME").size(), 1);
        }
    }

    static void primaryKeys() throws Exception {
        try (Connection conn = open()) {
            equal(rows(conn.getMetaData().getPrimaryKeys(null, "jdbc_meta", "child"), "TABLE_SCHEM", "TABLE_NAME", "COLUMN_NAME", "KEY_SEQ", "PK_NAME"),
                List.of("jdbc_meta|child|b|1|child_key", "jdbc_meta|child|a|2|child_key"));
            equal(rows(conn.getMetaData().getPrimaryKeys("dev", "jdbc_meta", "parent"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"), List.of("id|1|parent_pkey"));
            equal(rows(conn.getMetaData().getPrimaryKeys(null, "jdbc_meta", "seen"), "COLUMN_NAME"), List.of());
        }
    }

    static void indexInfo() throws Exception {
        try (Connection conn = open()) {
            equal(rows(conn.getMetaData().getIndexInfo(null, "jdbc_meta", "child", true, true), "NON_UNIQUE", "INDEX_NAME", "TYPE", "ORDINAL_POSITION",
                "COLUMN_NAME", "ASC_OR_DESC"), List.of("f|child_key|3|1|b|A", "f|child_key|3|2|a|A", "f|child_other_key|3|1|other|A"));
            equal(rows(conn.getMetaData().getIndexInfo(null, "jdbc_meta", "parent", false, false), "NON_UNIQUE", "INDEX_NAME", "COLUMN_NAME"),
                List.of("f|parent_pkey|id"));
            equal(rows(conn.getMetaData().getIndexInfo(null, "jdbc_meta", "counted", false, false), "INDEX_NAME"), List.of());
        }
    }

    static final String[] KEY = {"PKTABLE_SCHEM", "PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_SCHEM", "FKTABLE_NAME", "FKCOLUMN_NAME", "KEY_SEQ", "UPDATE_RULE",
        "DELETE_RULE", "FK_NAME", "PK_NAME", "DEFERRABILITY"};
    static final List<String> CHILD_PARENT = List.of("jdbc_meta|parent|id|jdbc_meta|child|parent_id|1|3|3|child_parent|parent_pkey|7");

    static void importedKeys() throws Exception {
        try (Connection conn = open()) {
            equal(rows(conn.getMetaData().getImportedKeys(null, "jdbc_meta", "child"), KEY), CHILD_PARENT);
            equal(rows(conn.getMetaData().getImportedKeys(null, "jdbc_meta", "parent"), KEY), List.of());
        }
    }

    static void exportedKeys() throws Exception {
        try (Connection conn = open()) {
            equal(rows(conn.getMetaData().getExportedKeys(null, "jdbc_meta", "parent"), KEY), CHILD_PARENT);
            equal(rows(conn.getMetaData().getExportedKeys(null, "jdbc_meta", "child"), KEY), List.of());
        }
    }

    static void crossReference() throws Exception {
        try (Connection conn = open()) {
            equal(rows(conn.getMetaData().getCrossReference(null, "jdbc_meta", "parent", null, "jdbc_meta", "child"), KEY), CHILD_PARENT);
            equal(rows(conn.getMetaData().getCrossReference(null, "jdbc_meta", "child", null, "jdbc_meta", "parent"), KEY), List.of());
        }
    }

    static void rowIdentifier() throws Exception {
        try (Connection conn = open()) {
            DatabaseMetaData meta = conn.getMetaData();
            equal(rows(meta.getBestRowIdentifier(null, "jdbc_meta", "parent", DatabaseMetaData.bestRowSession, false), "COLUMN_NAME", "TYPE_NAME"), List.of("id|int8"));
            equal(rows(meta.getVersionColumns(null, "jdbc_meta", "parent"), "COLUMN_NAME"), List.of("ctid"));
        }
    }

    static void typeInfo() throws Exception {
        try (Connection conn = open()) {
            List<String> found = rows(conn.getMetaData().getTypeInfo(), "TYPE_NAME", "DATA_TYPE", "CASE_SENSITIVE", "AUTO_INCREMENT");
            List<String> expected = List.of("bool|-7|f|f", "int2|5|f|f", "int4|4|f|f", "int8|-5|f|f", "float4|7|f|f", "float8|8|f|f", "numeric|2|f|f", "text|12|t|f",
                "varchar|12|t|f", "date|91|f|f", "timestamp|93|f|f", "timestamptz|93|f|f", "bytea|-2|t|f", "uuid|1111|t|f", "json|1111|t|f", "interval|1111|f|f",
                "bpchar|1|t|f", "_int4|2003|f|f", "oid|-5|f|f", "name|12|t|f", "time|92|f|f");
            List<String> wrong = new ArrayList<>();
            for (String one : expected) {
                if (!found.contains(one)) {
                    String name = one.substring(0, one.indexOf('|') + 1);
                    wrong.add(one + ": " + found.stream().filter(f -> f.startsWith(name)).toList());
                }
            }
            none(wrong);
        }
    }

    static void tablePrivileges() throws Exception {
        try (Connection conn = open()) {
            equal(rows(conn.getMetaData().getTablePrivileges(null, "jdbc_meta", "counted"), "TABLE_NAME", "GRANTOR", "GRANTEE", "PRIVILEGE", "IS_GRANTABLE"),
                List.of("DELETE", "INSERT", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE").stream()
                    .map(p -> "counted|admin|admin|" + p + "|YES").toList());
        }
    }

    static void columnPrivileges() throws Exception {
        try (Connection conn = open()) {
            List<String> found = rows(conn.getMetaData().getColumnPrivileges(null, "jdbc_meta", "counted", "name"), "COLUMN_NAME", "GRANTEE", "PRIVILEGE");
            equal(found.containsAll(List.of("name|admin|INSERT", "name|admin|SELECT", "name|admin|UPDATE")), true);
        }
    }

    static void functions() throws Exception {
        try (Connection conn = open()) {
            DatabaseMetaData meta = conn.getMetaData();
            equal(rows(meta.getFunctions(null, "jdbc_meta", "%"), "FUNCTION_SCHEM", "FUNCTION_NAME", "FUNCTION_TYPE", "REMARKS"), List.of("jdbc_meta|plus|1|null"));
            equal(rows(meta.getFunctionColumns(null, "jdbc_meta", "plus", null), "COLUMN_NAME", "COLUMN_TYPE", "TYPE_NAME", "ORDINAL_POSITION"),
                List.of("returnValue|4|int4|0", "$1|1|int4|1", "$2|1|int4|2"));
            equal(rows(meta.getFunctions(null, "pg_catalog", "upper"), "FUNCTION_NAME").contains("upper"), true);
        }
    }

    static void procedures() throws Exception {
        try (Connection conn = open()) {
            DatabaseMetaData meta = conn.getMetaData();
            equal(rows(meta.getProcedures(null, "jdbc_meta", "plus"), "PROCEDURE_NAME"), List.of());
            equal(rows(meta.getProcedureColumns(null, "jdbc_meta", "no_such", null), "COLUMN_NAME"), List.of());
        }
    }

    static void userTypes() throws Exception {
        try (Connection conn = open()) {
            equal(rows(conn.getMetaData().getUDTs(null, "jdbc_meta", "no%", null), "TYPE_NAME"), List.of());
        }
    }

    static void clientInfo() throws Exception {
        try (Connection conn = open()) {
            DatabaseMetaData meta = conn.getMetaData();
            equal(rows(meta.getClientInfoProperties(), "NAME"), List.of("ApplicationName"));
            equal(meta.getMaxColumnNameLength(), 63);
            equal(meta.getMaxConnections() > 0, true);
            equal(meta.getSQLKeywords().contains("vacuum"), true);
            equal(meta.getDefaultTransactionIsolation(), Connection.TRANSACTION_READ_COMMITTED);
        }
    }

    static void resultMetaData() throws Exception {
        for (String mode : new String[] {"", "prepareThreshold=-1"}) {
            try (Connection conn = open(mode); Statement statement = conn.createStatement()) {
                ResultSet rows = statement.executeQuery("SELECT p.id AS named, p.code, p.price, p.fixed, p.at, p.id + 1 AS next, c.id, c.name, 'x' AS literal"
                    + " FROM jdbc_meta.parent p, jdbc_meta.counted c");
                ResultSetMetaData meta = rows.getMetaData();
                List<String> found = new ArrayList<>();
                for (int i = 1; i <= meta.getColumnCount(); i++) {
                    found.add(String.join("|", meta.getColumnLabel(i), meta.getColumnName(i), meta.getSchemaName(i), meta.getTableName(i), meta.getColumnTypeName(i),
                        "" + meta.getColumnType(i), meta.getColumnClassName(i).replaceAll(".*\\.", ""), "" + meta.getPrecision(i), "" + meta.getScale(i),
                        "" + meta.getColumnDisplaySize(i), "" + meta.isAutoIncrement(i), "" + meta.isNullable(i), "" + meta.isSigned(i)));
                }
                List<String> expected = List.of(
                    "named|named||parent|int8|-5|Long|19|0|20|false|0|true",
                    "code|code||parent|varchar|12|String|20|0|20|false|0|false",
                    "price|price||parent|numeric|2|BigDecimal|10|2|12|false|1|true",
                    "fixed|fixed||parent|bpchar|1|String|5|0|5|false|1|false",
                    "at|at||parent|timestamp|93|Timestamp|29|6|29|false|1|false",
                    "next|next|||int8|-5|Long|19|0|20|false|2|true",
                    "id|id||counted|serial|4|Integer|10|0|11|true|0|true",
                    "name|name||counted|text|12|String|2147483647|0|2147483647|false|1|false",
                    "literal|literal|||text|12|String|2147483647|0|2147483647|false|2|false");
                List<String> wrong = new ArrayList<>();
                for (int i = 0; i < expected.size(); i++) {
                    same(wrong, mode, found.get(i), expected.get(i));
                }
                none(wrong);
            }
        }
    }

    static void resultMetaDataBefore() throws Exception {
        try (Connection conn = open()) {
            try (PreparedStatement select = conn.prepareStatement("SELECT code, price FROM jdbc_meta.parent WHERE id = ?")) {
                ResultSetMetaData meta = select.getMetaData();
                equal(meta.getColumnCount(), 2);
                equal(meta.getColumnTypeName(2), "numeric");
            }
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO jdbc_meta.called VALUES (?)")) {
                equal(insert.getMetaData(), null);
            }
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO jdbc_meta.called VALUES (?) RETURNING n")) {
                equal(insert.getMetaData().getColumnName(1), "n");
            }
        }
    }

    static void parameterMetaData() throws Exception {
        String[][] cases = {
            {"SELECT * FROM jdbc_meta.parent WHERE id = ? AND code = ? AND price > ? AND born < ? AND at = ? AND zoned = ? AND flag = ?",
                "int8 varchar numeric date timestamp timestamptz bool"},
            {"INSERT INTO jdbc_meta.parent (id, code, price, small, whole, half, full_) VALUES (?, ?, ?, ?, ?, ?, ?)", "int8 varchar numeric int2 int4 float4 float8"},
            {"UPDATE jdbc_meta.parent SET code = ?, born = ? WHERE small IN (?, ?)", "varchar date int2 int2"},
            {"DELETE FROM jdbc_meta.parent WHERE long_text LIKE ?", "text"},
            {"SELECT ?::int, CAST(? AS date), ?::uuid, ?::int[]", "int4 date uuid _int4"},
            {"SELECT * FROM jdbc_meta.counted LIMIT ?", "int8"},
            {"SELECT jdbc_meta.plus(?, 1)", "int4"},
        };
        List<String> wrong = new ArrayList<>();
        try (Connection conn = open()) {
            for (String[] one : cases) {
                try (PreparedStatement statement = conn.prepareStatement(one[0])) {
                    ParameterMetaData meta = statement.getParameterMetaData();
                    List<String> found = new ArrayList<>();
                    for (int i = 1; i <= meta.getParameterCount(); i++) {
                        found.add(meta.getParameterTypeName(i));
                    }
                    // A string is told as either of its two types.
                    String text = String.join(" ", found);
                    if (!text.replace("varchar", "text").equals(one[1].replace("varchar", "text"))) {
                        wrong.add(one[0] + ": " + text);
                    }
                } catch (SQLException error) {
                    wrong.add(one[0] + ": " + error.getMessage());
                }
            }
        }
        none(wrong);
    }

    // Other modes.

    static void simpleQueries() throws Exception {
        try (Connection conn = open("preferQueryMode=simple")) {
            run(conn, "CREATE TABLE jdbc_simple (a int, b text, c numeric(8,2), d timestamp)");
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO jdbc_simple VALUES (?, ?, ?, ?)")) {
                for (int i = -1; i < 2; i++) {
                    insert.setInt(1, i);
                    insert.setString(2, "it's \\ " + i);
                    insert.setBigDecimal(3, new BigDecimal("-1.5"));
                    insert.setTimestamp(4, Timestamp.valueOf("2013-01-01 05:00:00"));
                    equal(insert.executeUpdate(), 1);
                }
            }
            try (PreparedStatement select = conn.prepareStatement("SELECT a, b, c, d FROM jdbc_simple WHERE a = ? AND b LIKE ? AND d >= ?")) {
                select.setInt(1, -1);
                select.setString(2, "it's%");
                select.setTimestamp(3, Timestamp.valueOf("2013-01-01 00:00:00"));
                ResultSet rows = select.executeQuery();
                rows.next();
                equal(rows.getString(2), "it's \\ -1");
                equal(rows.getBigDecimal(3), new BigDecimal("-1.50"));
                equal(rows.getTimestamp(4), Timestamp.valueOf("2013-01-01 05:00:00"));
            }
            conn.setAutoCommit(false);
            run(conn, "DELETE FROM jdbc_simple");
            conn.rollback();
            equal(one(conn, "SELECT count(*) FROM jdbc_simple"), 3L);
            conn.commit();
            equal(rows(conn.getMetaData().getColumns(null, "jdbc_meta", "child", null), "COLUMN_NAME").size(), 4);
        }
    }

    static void extendedForPrepared() throws Exception {
        for (String mode : new String[] {"extendedForPrepared", "extendedCacheEverything"}) {
            try (Connection conn = open("preferQueryMode=" + mode)) {
                conn.setAutoCommit(false);
                for (int i = 0; i < 8; i++) {
                    equal(one(conn, "SELECT 1"), 1);
                }
                try (PreparedStatement select = conn.prepareStatement("SELECT ? + 1 AS n")) {
                    select.setInt(1, 4);
                    equal(rows(select.executeQuery(), "n"), List.of("5"));
                }
                conn.commit();
            }
        }
    }
}
