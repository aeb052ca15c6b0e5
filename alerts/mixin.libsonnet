// The alerts, recording rules and dashboards as a monitoring mixin, for people who use
// jsonnet. `qlik_exporter assets` writes this file beside rules.json and dashboards/, and
// adapts both. Example:
//
//   local qlik = import 'qlik/mixin.libsonnet';
//   {
//     'rules.json': qlik.prometheusAlerts + qlik.prometheusRules,
//   } + { ['dashboards/' + name]: qlik.grafanaDashboards[name] for name in std.objectFields(qlik.grafanaDashboards) }
//
// The alerts use the recording rules, and both keep their groups, because the order in a
// group matters. So prometheusAlerts has the groups with both, and prometheusRules the
// groups without alerts.
local rules = import 'rules.json';
local hasAlert(group) = std.length([rule for rule in group.rules if std.objectHas(rule, 'alert')]) > 0;

{
  prometheusAlerts+:: {
    groups+: [group for group in rules.groups if hasAlert(group)],
  },
  prometheusRules+:: {
    groups+: [group for group in rules.groups if !hasAlert(group)],
  },
  grafanaDashboards+:: {
    'qlik-capacity.json': import 'dashboards/qlik-capacity.json',
    'qlik-exporter.json': import 'dashboards/qlik-exporter.json',
    'qlik-overview.json': import 'dashboards/qlik-overview.json',
    'qlik-user.json': import 'dashboards/qlik-user.json',
  },
}
