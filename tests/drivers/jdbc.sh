#!/usr/bin/env bash
# pgJDBC against a server: finds the driver and runs Jdbc.java with it, from its source. TIDEGATE_JDBC_JAR names another driver.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

jar="${TIDEGATE_JDBC_JAR:-/usr/share/java/postgresql.jar}"
command -v java >/dev/null || { echo "SKIP jdbc: there is no java"; exit 0; }
[[ -e "$jar" ]] || { echo "SKIP jdbc: there is no $jar (Debian's libpostgresql-jdbc-java)"; exit 0; }
exec java -cp "$jar" Jdbc.java
