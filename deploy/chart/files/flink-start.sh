#!/bin/sh
# Writes Flink's configuration, with values that are known in the pod only, then starts the program.
# The password of the stores is in a file in memory, never in a variable or on a command line.
set -eu
umask 077
export FLINK_CONF_DIR=/run/flink/conf FLINK_LOG_DIR=/tmp
mkdir -p "$FLINK_CONF_DIR"
cp /etc/sealflow-flink/log4j-console.properties "$FLINK_CONF_DIR/"
config="$FLINK_CONF_DIR/config.yaml"
{ cat /etc/sealflow-flink/config.yaml; echo; } > "$config"
for side in internal rest; do
  password="/run/secrets/sealflow/$side/keystore"
  if [ -e "$password" ]; then
    for name in keystore-password key-password truststore-password; do
      printf 'security.ssl.%s.%s: "%s"\n' "$side" "$name" "$(cat "$password")" >> "$config"
    done
    # Checked here, as Flink reports a wrong password only in a stack trace. Java contains keytool.
    if ! said=$("$JAVA_HOME/bin/keytool" -J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC -J-XX:-UsePerfData -list \
      -storetype PKCS12 -keystore "$password.p12" -storepass:file "$password" 2>&1); then
      echo "$password.p12 does not open with the password in $password; install the Secrets of certificate and password" \
        "from the same key folder of 'sealflow keys' ($said)" >&2
      exit 1
    fi
  fi
done
case "$1" in
  taskmanager.sh)
    printf 'taskmanager.host: "%s"\ntaskmanager.resource-id: "%s"\n' "$POD_IP" "$HOSTNAME" >> "$config" ;;
  *)
    # With several JobManagers, TaskManagers connect to the leader by its pod's address.
    if [ "${JOBMANAGER_BY_IP:-}" = true ]; then
      sed -i '/^jobmanager.rpc.address:/d' "$config"
      printf 'jobmanager.rpc.address: "%s"\n' "$POD_IP" >> "$config"
    fi ;;
esac
program=$1
shift
exec "$FLINK_HOME/bin/$program" start-foreground "$@"
