#!/usr/bin/env bash
# Builds the MSI of a program, dist/stage/qlik_exporter.exe by default:
#
#   deploy/windows/msi.sh VERSION FILE.msi [PROGRAM]
#
# Needs Debian's wixl and msitools.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath --relative-to=. "${3:-dist/stage/qlik_exporter.exe}") # as wixl wants it
wixl --arch x64 -D VERSION="$1" -D PROGRAM="$program" -o "$2" deploy/windows/qlik_exporter.wxs

# What wixl 0.101 cannot express.
secure='FLAGS;LISTEN_PORT;FIREWALL;REMOTE_ADDR;PATH'
secure+=';REMEMBERED_LISTEN_PORT;REMEMBERED_FIREWALL;REMEMBERED_REMOTE_ADDR;REMEMBERED_PATH'
secure+=';WIX_UPGRADE_DETECTED;WIX_DOWNGRADE_DETECTED'
# Component: 16 is permanent, 128 never overwrite, 256 64-bit. CustomAction: 3442 runs a program
# during a rollback (256), in the script (1024), as the system (2048), and ignores its exit
# status (64). Upgrade: 513 replaces the same version too, because its release candidates have
# the same number. Environment: = sets a variable of the machine (*), which - removes later.
queries=(
  "UPDATE Component SET Attributes = 400 WHERE Component = 'Flags'"
  "UPDATE Component SET \`Condition\` = 'FIREWALL = \"1\"' WHERE Component = 'Firewall'"
  "UPDATE Component SET \`Condition\` = 'PATH = \"1\"' WHERE Component = 'Path'"
  "UPDATE Property SET Value = '$secure' WHERE Property = 'SecureCustomProperties'"
  "UPDATE CustomAction SET Type = 3442 WHERE Action = 'RestoreRule'"
  "DELETE FROM Upgrade WHERE ActionProperty = 'WIX_UPGRADE_DETECTED'"
  "INSERT INTO Upgrade (UpgradeCode, VersionMax, Attributes, ActionProperty) VALUES ('{8C5E1B4D-63A7-4F0E-9C41-2E7A86D5B3F9}', '$1', 513, 'WIX_UPGRADE_DETECTED')"
  "CREATE TABLE Environment (Environment CHAR(72) NOT NULL, Name CHAR(255) NOT NULL LOCALIZABLE, Value CHAR(255) LOCALIZABLE, Component_ CHAR(72) NOT NULL PRIMARY KEY Environment)"
  "INSERT INTO Environment (Environment, Name, Value, Component_) VALUES ('Path', '=-*PATH', '[~];[INSTALLFOLDER]', 'Path')"
  "INSERT INTO InstallExecuteSequence (Action, \`Condition\`, Sequence) VALUES ('RemoveEnvironmentStrings', '', 3300)"
  "INSERT INTO InstallExecuteSequence (Action, \`Condition\`, Sequence) VALUES ('WriteEnvironmentStrings', '', 5200)"
)
for query in "${queries[@]}"; do
  msibuild "$2" -q "$query"
done
