import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Runs the statements of a file in a Flink of its own, one after the other: the package from PyPI lacks what its SQL client needs. */
class FlinkSql {
    public static void main(String[] arguments) throws Exception {
        TableEnvironment flink = TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().build());
        flink.getConfig().set("parallelism.default", arguments[1]);
        for (String statement : Files.readString(Path.of(arguments[0])).split(";")) {
            if (!statement.isBlank()) {
                var result = flink.executeSql(statement.strip());
                if (statement.strip().startsWith("INSERT")) {
                    result.await();
                }
            }
        }
    }
}
