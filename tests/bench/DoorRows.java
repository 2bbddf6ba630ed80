import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;

/** Counts the rows of a query, read by portals: DoorRows PORT QUERY. */
public class DoorRows {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://127.0.0.1:" + arguments[0] + "/dev?user=admin&binaryTransfer=true";
        try (Connection connection = DriverManager.getConnection(url)) {
            // Portals last as long as their transaction.
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(10_000);
                long rows = 0;
                long sum = 0;
                try (ResultSet found = statement.executeQuery(arguments[1])) {
                    while (found.next()) {
                        sum += found.getLong(1);
                        rows++;
                    }
                }
                if (sum != rows * (rows + 1) / 2) {
                    throw new IllegalStateException("another sum than that of 1 to " + rows + ": " + sum);
                }
                System.out.println(rows);
            }
        }
    }
}
