package render_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
	"github.com/qlik-exporter/qlik_exporter/internal/report/render"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

var update = flag.Bool("update", false, "write the files in testdata")

var languages = []string{render.English, render.French, render.German}

type format func(*testing.T, *report.Report, string) string

func asText(t *testing.T, r *report.Report, language string) string {
	t.Helper()
	var b bytes.Buffer
	if err := render.Text(&b, r, render.Options{Language: language, Names: true, Location: berlin}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asHTML(t *testing.T, r *report.Report, language string) string {
	t.Helper()
	var b bytes.Buffer
	if err := render.HTML(&b, r, render.Options{Language: language, Names: true, Location: berlin}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// oneLine returns a text without line breaks. All its spaces are plain.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestReport(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		file, language string
		format         format
	}{
		{"report.html", render.English, asHTML},
		{"report-en.txt", render.English, asText},
		{"report-fr.txt", render.French, asText},
		{"report-de.txt", render.German, asText},
	} {
		path := filepath.Join("testdata", test.file)
		got := test.format(t, fullReport(), test.language)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs; look at the difference after -update:\n%s", path, got)
		}
	}
}

func TestUnknownLanguage(t *testing.T) {
	t.Parallel()
	if err := render.Text(&bytes.Buffer{}, fullReport(), render.Options{Language: "tlh"}); err == nil {
		t.Error("no error")
	}
}

// TestSentences checks sentences of odd cases in all languages: English, French, and German.
func TestSentences(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*report.Report, *report.Site)
		want   [3]string
		never  string
	}{
		"one": {
			func(_ *report.Report, s *report.Site) {
				s.Refused, s.People, s.NoLicense = compared(1, 0), compared(1, 0), compared(1, 0)
			},
			[3]string{
				"Qlik refused 1 login of 1 person because of the session limit. That is 1 more than in an average week of the 12 weeks before (0). 1 more login was refused because Qlik found no license.",
				"Qlik a refusé 1 connexion (1 personne) à cause de la limite de sessions. C'est 1 de plus que la moyenne des 12 semaines précédentes (0). 1 autre connexion a été refusée, car Qlik n'a pas trouvé de licence.",
				"Qlik hat 1 Anmeldung von 1 Person wegen des Sitzungslimits abgelehnt. Das ist 1 mehr als im Durchschnitt der 12 Wochen davor (0). 1 weitere Anmeldung wurde abgelehnt, weil Qlik keine Lizenz fand.",
			},
			"",
		},
		"large numbers, fewer than before": {
			func(_ *report.Report, s *report.Site) {
				s.Refused, s.People, s.NoLicense = compared(12345, 20000.4), compared(1500, 1), compared(0, 0)
			},
			[3]string{
				"Qlik refused 12,345 logins of 1,500 people because of the session limit. That is 7,655 fewer than in an average week of the 12 weeks before (20,000).",
				"Qlik a refusé 12 345 connexions (1 500 personnes) à cause de la limite de sessions. C'est 7 655 de moins que la moyenne des 12 semaines précédentes (20 000).",
				"Qlik hat 12.345 Anmeldungen von 1.500 Personen wegen des Sitzungslimits abgelehnt. Das sind 7.655 weniger als im Durchschnitt der 12 Wochen davor (20.000).",
			},
			"",
		},
		"as many, few weeks": {
			func(_ *report.Report, s *report.Site) { s.Refused = compared(5, 5); s.Refused.BeforeWeeks = 3 },
			[3]string{
				"That is as many as in an average week of the 3 earlier weeks with enough data.",
				"C'est autant que la moyenne des 3 semaines antérieures qui ont assez de données.",
				"Das sind genauso viele wie im Durchschnitt der 3 früheren Wochen mit genug Daten.",
			},
			"",
		},
		"one earlier week, with a decimal": {
			func(_ *report.Report, s *report.Site) { s.Refused = compared(5, 2.5); s.Refused.BeforeWeeks = 1 },
			[3]string{
				"That is 2.5 more than in the only earlier week with enough data (2.5).",
				"C'est 2,5 de plus que la seule semaine antérieure qui a assez de données (2,5).",
				"Das sind 2,5 mehr als in der einzigen früheren Woche mit genug Daten (2,5).",
			},
			"",
		},
		"no earlier week": {
			func(_ *report.Report, s *report.Site) { s.Refused = report.Compared{Value: new(5.0)} },
			[3]string{
				"No earlier week has enough data to compare.", "Aucune semaine antérieure n'a assez de données pour comparer.",
				"Keine frühere Woche hat genug Daten für einen Vergleich.",
			},
			"",
		},
		"lower bound above the average": {
			func(_ *report.Report, s *report.Site) { s.Refused.AtLeast, s.People.AtLeast = true, true },
			[3]string{
				"Qlik refused at least 41 logins of at least 23 people because of the session limit. That is at least 12 more than",
				"Qlik a refusé au moins 41 connexions (au moins 23 personnes) à cause de la limite de sessions. C'est au moins 12 de plus que",
				"Qlik hat mindestens 41 Anmeldungen von mindestens 23 Personen wegen des Sitzungslimits abgelehnt. Das sind mindestens 12 mehr als",
			},
			"",
		},
		"lower bound below the average": {
			func(_ *report.Report, s *report.Site) { s.Refused = compared(7, 29); s.Refused.AtLeast = true },
			[3]string{
				"Refused logins in an average week of the 12 weeks before: 29, but data for the reported time is missing.",
				"Refus pour la moyenne des 12 semaines précédentes : 29, mais des données manquent pour la période du rapport.",
				"Ablehnungen im Durchschnitt der 12 Wochen davor: 29, aber für den Berichtszeitraum fehlen Daten.",
			},
			"fewer than",
		},
		"nobody": {
			func(_ *report.Report, s *report.Site) { *s = quietSite() },
			[3]string{
				"Nobody was refused because of the session limit. The 12 weeks before had no refused logins either.",
				"Personne n'a été refusé à cause de la limite de sessions. Il n'y avait pas non plus de refus dans les 12 semaines précédentes.",
				"Niemand wurde wegen des Sitzungslimits abgewiesen. Auch in den 12 Wochen davor gab es keine Ablehnungen.",
			},
			"Main cause",
		},
		"nobody, but before": {
			func(_ *report.Report, s *report.Site) { *s = quietSite(); s.Refused = compared(0, 2.5) },
			[3]string{
				"Refused logins in an average week of the 12 weeks before: 2.5.", "Refus pour la moyenne des 12 semaines précédentes : 2,5.",
				"Ablehnungen im Durchschnitt der 12 Wochen davor: 2,5.",
			},
			"",
		},
		"nobody is known": {
			func(_ *report.Report, s *report.Site) { *s = quietSite(); s.Refused.AtLeast = true; s.Known = 0.5 },
			[3]string{
				"No refused login is known, but data for this time is missing.", "Aucun refus n'est connu, mais des données manquent pour cette période.",
				"Es ist keine abgelehnte Anmeldung bekannt, aber für diese Zeit fehlen Daten.",
			},
			"Nobody was refused",
		},
		"only licenses": {
			func(_ *report.Report, s *report.Site) { *s = quietSite(); s.NoLicense = compared(7, 1) },
			[3]string{
				" 7 logins were refused because Qlik found no license.", " 7 connexions ont été refusées, car Qlik n'a pas trouvé de licence.", " 7 Anmeldungen wurden abgelehnt, weil Qlik keine Lizenz fand.",
			},
			"more logins",
		},
		"no counts": {
			func(_ *report.Report, s *report.Site) {
				s.Refused, s.NoLicense, s.People = report.Compared{AtLeast: true}, report.Compared{AtLeast: true}, report.Compared{AtLeast: true}
			},
			[3]string{
				"How many logins Qlik refused is unknown, because Prometheus has no counts", "Le nombre de connexions refusées par Qlik est inconnu, car Prometheus",
				"Wie viele Anmeldungen Qlik abgelehnt hat, ist unbekannt: Prometheus",
			},
			"at least 0",
		},
		"no data": {
			func(_ *report.Report, s *report.Site) { *s = unknownSite() },
			[3]string{
				"There is no data for this time, so nothing is known about refused logins.", "Il n'y a aucune donnée pour cette période : on ne sait rien des connexions refusées.",
				"Für diese Zeit gibt es keine Daten. Über abgelehnte Anmeldungen ist nichts bekannt.",
			},
			"guard is off",
		},
		"weeks": {
			func(r *report.Report, s *report.Site) { r.Weeks = 4; s.Refused = compared(164, 29.25) },
			[3]string{
				"In 4 weeks, Qlik refused 164 logins of 23 people because of the session limit. That is 41 a week, 12 more than in an average week",
				"En 4 semaines, Qlik a refusé 164 connexions (23 personnes) à cause de la limite de sessions. Cela fait 41 par semaine, 12 de plus que la moyenne",
				"In 4 Wochen hat Qlik 164 Anmeldungen von 23 Personen wegen des Sitzungslimits abgelehnt. Das sind 41 pro Woche, 12 mehr als im Durchschnitt",
			},
			"",
		},
		"hidden people": {
			func(_ *report.Report, s *report.Site) { s.People, s.PeopleHidden = report.Compared{}, true },
			[3]string{
				"because the metrics contain no users", "car les métriques ne contiennent pas d'utilisateurs", "weil die Metriken keine Benutzer enthalten",
			},
			"of 0 people",
		},
		"no rules": {
			func(_ *report.Report, s *report.Site) { s.People, s.Rules = report.Compared{}, false },
			[3]string{
				"The number of people is unknown, because Prometheus does not evaluate the recording rules", "Le nombre de personnes est inconnu, car Prometheus n'évalue pas les règles",
				"Die Zahl der Personen ist unbekannt, weil Prometheus die Recording Rules des Exporters nicht auswertet.",
			},
			"of 0 people",
		},
		"unknown causes": {
			func(_ *report.Report, s *report.Site) { s.Causes = nil },
			[3]string{
				"The causes are unknown, because none were recorded.", "Les causes sont inconnues, car aucune n'a été enregistrée.",
				"Die Ursachen sind unbekannt, weil keine aufgezeichnet wurden.",
			},
			"Main cause",
		},
		"mostly unknown causes": {
			func(_ *report.Report, s *report.Site) {
				s.Causes = []report.Cause{{Cause: "unknown", Refused: compared(30, 1)}, {Cause: "cooling", Refused: compared(11, 1)}}
			},
			[3]string{
				"The cause of 30 of 41 is unknown. The main known cause: sessions ended minutes before (11).",
				"La cause est inconnue pour 30 refus sur 41. Première cause connue : sessions terminées depuis quelques minutes (11).",
				"Bei 30 von 41 ist die Ursache unbekannt. Häufigste bekannte Ursache: Eben erst beendete Sitzungen (11).",
			},
			"Main cause",
		},
		"two main causes": {
			func(_ *report.Report, s *report.Site) {
				s.Causes = []report.Cause{{Cause: "runaway", Refused: compared(20, 1)}, {Cause: "program", Refused: compared(20, 1)}}
			},
			[3]string{
				"Main causes: page or program in a loop, and programs that log in repeatedly (each 20 of 41).",
				"Causes principales : page ou programme en boucle, et programmes qui se connectent sans cesse (20 sur 41 chacune).",
				"Hauptursachen: Seite oder Programm in einer Schleife sowie Programme, die sich immer wieder anmelden (je 20 von 41).",
			},
			"",
		},
		"unknown causes of logins without a license": {
			func(_ *report.Report, s *report.Site) {
				s.Causes = []report.Cause{{Cause: "runaway", Refused: compared(39, 1)}, {Cause: "unknown", Refused: compared(5, 1)}}
			},
			[3]string{"(39 of 44)", "(39 sur 44)", "(39 von 44)"},
			"",
		},
		"mostly no recorded causes": {
			func(_ *report.Report, s *report.Site) {
				s.Causes = []report.Cause{{Cause: "cooling", Refused: compared(11, 1)}, {Cause: "unknown", Refused: compared(5, 1)}}
			},
			[3]string{"The cause of 30 of 41 is unknown.", "La cause est inconnue pour 30 refus sur 41.", "Bei 30 von 41 ist die Ursache unbekannt."},
			"Main cause",
		},
		"no refused login in a part of a week": {
			func(_ *report.Report, s *report.Site) {
				w := &s.Weeks[len(s.Weeks)-1]
				w.AtLeast, *w.NoLicense = true, 0
			},
			[3]string{"none known", "aucun connu", "keine bekannt"},
			"at least 0",
		},
		"weeks begin in the morning": {
			func(r *report.Report, _ *report.Site) { r.To = r.To.Add(day/4 + day/48) },
			[3]string{"Weeks, latest first (they begin at 06:30)", "Semaines, la plus récente en premier (elles commencent à 06:30)", "Wochen, die neueste zuerst (sie beginnen um 06:30 Uhr)"},
			"",
		},
		"negative numbers": {
			func(_ *report.Report, s *report.Site) {
				s.Guard.Ended, s.Guard.Returned, s.NoLicense = new(-5.0), new(-5.0), compared(-5, -5)
				*s.Weeks[12].Refused, *s.Weeks[12].People = -5, -5
				s.Licenses[0].Free, s.Licenses[0].Bought = new(-5.0), new(-5.0)
			},
			[3]string{"ended no session", "aucune session", "keine Sitzung"},
			"",
		},
		"timeouts prevent nothing": {
			func(_ *report.Report, s *report.Site) {
				s.Timeouts = []report.Timeout{{Minutes: 20, Prevented: 0.1}, {Minutes: 10, Prevented: 0.3}}
			},
			[3]string{
				"An inactivity timeout of 10 minutes would have prevented almost none of these refused logins.",
				"Un délai d'inactivité de 10 minutes n'aurait évité presque aucun de ces refus.",
				"Ein Inaktivitäts-Timeout von 10 Minuten hätte fast keine dieser Ablehnungen verhindert.",
			},
			"about 0",
		},
		"short timeouts": {
			func(_ *report.Report, s *report.Site) { s.Timeouts, s.LongestTimeout = nil, new(10.0) },
			[3]string{
				"The inactivity timeouts are short already: at most 10 minutes.", "Les délais d'inactivité sont déjà courts : 10 minutes au plus.",
				"Die Inaktivitäts-Timeouts sind schon kurz: höchstens 10 Minuten.",
			},
			"",
		},
		"no idle times": {
			func(_ *report.Report, s *report.Site) { s.Timeouts = nil },
			[3]string{
				"What a shorter inactivity timeout would have prevented is unknown", "On ne sait pas ce qu'un délai d'inactivité plus court aurait évité",
				"Was ein kürzeres Inaktivitäts-Timeout verhindert hätte, ist unbekannt",
			},
			"",
		},
		"guard off": {
			func(_ *report.Report, s *report.Site) { s.Guard = nil },
			[3]string{
				"The guard is off. Its dry run would show which refused logins it prevents.",
				"Le garde-fou (guard) est désactivé. Sa simulation (dry run) montrerait quels refus il évite.",
				"Der Wächter (guard) ist ausgeschaltet. Sein Probelauf (dry run) würde zeigen, welche Ablehnungen er verhindert.",
			},
			"",
		},
		"guard on": {
			func(_ *report.Report, s *report.Site) { s.Guard = &report.Guard{On: true, Ended: new(1.0)} },
			[3]string{
				"The guard ended 1 idle session so that the next login succeeds.", "Le garde-fou (guard) a terminé 1 session inactive pour que la prochaine connexion réussisse.",
				"Der Wächter (guard) hat 1 unbenutzte Sitzung beendet, damit die nächste Anmeldung gelingt.",
			},
			"dry run, the guard",
		},
		"dry run with one reading": {
			func(_ *report.Report, s *report.Site) {
				s.Guard = &report.Guard{Ended: new(2.0), PreventedLow: new(0.2), PreventedHigh: new(0.4), Returned: new(1.0)}
			},
			[3]string{
				"would have ended 2 idle sessions and prevented none of the refused logins. One of these sessions was used again later.",
				"aurait terminé 2 sessions inactives, mais n'aurait évité aucun refus. L'une de ces sessions a été réutilisée par la suite.",
				"2 unbenutzte Sitzungen beendet und keine der Ablehnungen verhindert. Eine dieser Sitzungen wurde später wieder benutzt.",
			},
			"",
		},
		"licenses": {
			func(_ *report.Report, s *report.Site) {
				s.LicenseValid = new(false)
				s.Licenses[0].RunsOut, s.Licenses[0].Unused, s.Licenses[1].Unused = report.RunsOut{State: report.RunOut}, new(1.0), nil
			},
			[3]string{
				"The license of Qlik Sense is not valid. None left: Professional. Assigned license not used for 90 days: 1 Professional.",
				"La licence de Qlik Sense n'est pas valide. Épuisé : Professional. Licence attribuée mais non utilisée depuis 90 jours : 1 Professional.",
				"Die Lizenz von Qlik Sense ist nicht gültig. Aufgebraucht: Professional. Zugewiesene, seit 90 Tagen unbenutzte Lizenz: 1 Professional.",
			},
			"Runs out first",
		},
		"license ends soon": {
			func(_ *report.Report, s *report.Site) { s.LicenseEnds = at(2026, 12, 31) },
			[3]string{
				"The license of Qlik Sense ends on Thu 31 Dec 2026. Runs out first", "La licence de Qlik Sense expire le jeu. 31 déc. 2026. Premier épuisement",
				"Die Lizenz von Qlik Sense läuft am Do., 31.12.2026 ab. Zuerst aufgebraucht",
			},
			"",
		},
		"license of one of the sites ends first": {
			func(r *report.Report, s *report.Site) {
				s.LicenseEnds = at(2026, 12, 31)
				r.Sites = append(r.Sites, fullSite("other"))
			},
			[3]string{
				"The license of Qlik Sense ends first at site “production”, on Thu 31 Dec 2026.",
				"La première licence de Qlik Sense à expirer est celle du site « production », le jeu. 31 déc. 2026.",
				"Die Lizenz von Qlik Sense läuft zuerst auf der Site „production“ ab, am Do., 31.12.2026.",
			},
			"",
		},
		"license of one of the sites ended": {
			func(r *report.Report, s *report.Site) {
				s.LicenseEnds = at(2026, 11, 1)
				r.Sites = append(r.Sites, fullSite("other"))
			},
			[3]string{
				"The license of Qlik Sense at site “production” ended on Sun 1 Nov 2026.",
				"La licence de Qlik Sense du site « production » a expiré le dim. 1er nov. 2026.",
				"Die Lizenz von Qlik Sense der Site „production“ ist am So., 01.11.2026 abgelaufen.",
			},
			"",
		},
		"license of one of the sites is invalid": {
			func(r *report.Report, s *report.Site) {
				s.LicenseValid = new(false)
				r.Sites = append(r.Sites, fullSite("other"))
			},
			[3]string{
				"The license of Qlik Sense is not valid: production.",
				"La licence de Qlik Sense n'est pas valide : production.",
				"Die Lizenz von Qlik Sense ist nicht gültig: production.",
			},
			"",
		},
		"license ended": {
			func(_ *report.Report, s *report.Site) { s.LicenseEnds = at(2026, 11, 1) },
			[3]string{
				"The license of Qlik Sense ended on Sun 1 Nov 2026. Runs out first", "La licence de Qlik Sense a expiré le dim. 1er nov. 2026. Premier épuisement",
				"Die Lizenz von Qlik Sense ist am So., 01.11.2026 abgelaufen. Zuerst aufgebraucht",
			},
			"",
		},
		"band without end": {
			func(_ *report.Report, s *report.Site) { s.Licenses[0].RunsOut.Latest = report.Time{} },
			[3]string{
				"around 12 Jan 2027 (at the earliest on 20 Dec 2026, or much later)", "vers le 12 janv. 2027 (au plus tôt le 20 déc. 2026, ou bien plus tard)",
				"um den 12.01.2027 (frühestens am 20.12.2026, oder viel später)",
			},
			"",
		},
		"began in the reported time": {
			func(_ *report.Report, s *report.Site) { s.Began = at(2026, 11, 17) },
			[3]string{
				"The first data is from Tue 17 Nov 2026, 08:00.", "Les premières données datent du mar. 17 nov. 2026 à 08:00.", "Die ersten Daten sind vom Di., 17.11.2026, 08:00 Uhr.",
			},
			"",
		},
		"not at midnight": {
			func(r *report.Report, _ *report.Site) {
				r.From, r.To = r.From.Add(90*60e9), r.To.Add(90*60e9)
			},
			[3]string{
				"Mon 16 Nov 2026, 01:30 to Mon 23 Nov 2026, 01:30 (CET)", "Du lun. 16 nov. 2026 à 01:30 au lun. 23 nov. 2026 à 01:30 (CET)",
				"Mo., 16.11.2026, 01:30 Uhr bis Mo., 23.11.2026, 01:30 Uhr (CET)",
			},
			"",
		},
		"several sites": {
			func(r *report.Report, _ *report.Site) { r.Sites = append(r.Sites, quietSite(), unknownSite()) },
			[3]string{
				"Qlik refused at least 41 logins of at least 23 people because of the session limit. That is at least 12 more than in an average week of the 12 weeks before (29). At least 3 more logins were refused because Qlik found no license. - Most affected: site “production” (41 refused logins).",
				"Qlik a refusé au moins 41 connexions (au moins 23 personnes) à cause de la limite de sessions. C'est au moins 12 de plus que la moyenne des 12 semaines précédentes (29). Au moins 3 autres connexions ont été refusées, car Qlik n'a pas trouvé de licence. - Site le plus touché : « production » (41 connexions refusées).",
				"Das sind mindestens 12 mehr als im Durchschnitt der 12 Wochen davor (29). Mindestens 3 weitere Anmeldungen wurden abgelehnt, weil Qlik keine Lizenz fand. - Am stärksten betroffen: Site „production“ (41 abgelehnte Anmeldungen).",
			},
			"",
		},
		"several sites with nothing left of both licenses": {
			func(r *report.Report, _ *report.Site) {
				r.Sites = []report.Site{fullSite("a"), fullSite("b"), fullSite("c")}
				for i := range r.Sites {
					for j := range 2 {
						r.Sites[i].Licenses[j].RunsOut = report.RunsOut{State: report.RunOut}
					}
				}
			},
			[3]string{"Licenses are used up at 3 sites.", "Des licences sont épuisées sur 3 sites.", "Lizenzen sind auf 3 Sites aufgebraucht."},
			"",
		},
		"a new site among several": {
			func(r *report.Report, _ *report.Site) {
				s := fullSite("new")
				s.Refused.Before, s.Refused.BeforeWeeks = nil, 0
				r.Sites = append(r.Sites, s)
			},
			[3]string{
				"There is no comparison, because not every site has an earlier week with enough data.", "Il n'y a pas de comparaison, car tous les sites n'ont pas une semaine antérieure avec assez de données.",
				"Es gibt keinen Vergleich, weil nicht jede Site eine frühere Woche mit genug Daten hat.",
			},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, language := range languages {
				r := fullReport()
				test.change(r, &r.Sites[0])
				for kind, got := range map[string]string{"text": oneLine(asText(t, r, language)), "page": words(asHTML(t, r, language))} {
					if want := test.want[i]; !strings.Contains(got, want) && !strings.Contains(got, strings.ReplaceAll(want, " - ", " ")) {
						t.Errorf("%s in %s: no %q in\n%s", kind, language, want, got)
					}
					if test.never != "" && strings.Contains(got, test.never) {
						t.Errorf("%s in %s: %q in\n%s", kind, language, test.never, got)
					}
				}
			}
		})
	}
}

// TestCauses checks that each cause has a name of its own and what helps.
// TestChangedClocks checks that a time over a change of the clocks names both zones.
func TestChangedClocks(t *testing.T) {
	location, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	r := fullReport()
	r.From = r.From.Add(-28 * day)
	var b strings.Builder
	if err := render.Text(&b, r, render.Options{Language: render.English, Location: location}); err != nil {
		t.Fatal(err)
	}
	if want := "Mon 19 Oct 2026, 01:00 to Mon 23 Nov 2026, 00:00 (CEST/CET)"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%.300s", want, &b)
	}
}

func TestCauses(t *testing.T) {
	t.Parallel()
	for _, language := range languages {
		seen := make(map[string]headroom.Cause)
		for _, cause := range headroom.Causes() {
			r := fullReport()
			r.Sites[0].Causes = []report.Cause{{Cause: string(cause), Refused: compared(41, 1)}}
			text := asText(t, r, language)
			if strings.Contains(text, string(cause)+" ") && strings.Contains(string(cause), "_") {
				t.Errorf("%s: the cause %s has no name", language, cause)
			}
			if other, found := seen[text]; found {
				t.Errorf("%s: %s and %s read alike", language, cause, other)
			}
			seen[text] = cause
		}
	}
}

// TestNames checks that there are names of people only if they are wanted.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, names := range []bool{false, true} {
		var b bytes.Buffer
		for _, write := range []func() error{
			func() error {
				return render.HTML(&b, fullReport(), render.Options{Language: render.English, Names: names})
			},
			func() error {
				return render.Text(&b, fullReport(), render.Options{Language: render.English, Names: names})
			},
		} {
			b.Reset()
			if err := write(); err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{"lena.urban", "This report contains names of people."} {
				if got := strings.Contains(b.String(), part); got != names {
					t.Errorf("names %v, %s: %v", names, part, got)
				}
			}
		}
	}
}

// TestHostileText checks that no name can do anything to a terminal, and that lines stay
// short.
func TestHostileText(t *testing.T) {
	t.Parallel()
	for _, name := range hostile {
		text := asText(t, hostileReport(name), render.French)
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if n := len([]rune(line)); n > 100 {
				t.Errorf("%q: line of %d characters: %s", name, n, line)
			}
			if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != '\u202f' && r != '\u00a0' }); i >= 0 {
				t.Errorf("%q: invisible character in %q", name, line)
			}
		}
		if !strings.Contains(oneLine(text), "193 autres ne sont pas affichés.") {
			t.Errorf("%q: it is not said that there are more virtual proxies", name)
		}
	}
}
