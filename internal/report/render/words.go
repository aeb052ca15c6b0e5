package render

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

var (
	login      = noun{"login", "logins", "connexion", "connexions", "Anmeldung", "Anmeldungen"}
	moreLogins = noun{"more login", "more logins", "autre connexion", "autres connexions", "weitere Anmeldung", "weitere Anmeldungen"}
	person     = noun{"person", "people", "personne", "personnes", "Person", "Personen"}
	week       = noun{"week", "weeks", "semaine", "semaines", "Woche", "Wochen"}
	minute     = noun{"minute", "minutes", "minute", "minutes", "Minute", "Minuten"}
	site       = noun{"site", "sites", "site", "sites", "Site", "Sites"}
)

// cause is what a cause is called, and what helps against it.
type cause struct{ name, help string }

func (w *words) cause(label string) cause {
	c := func(english, inFrench, german, helpEnglish, helpFrench, helpGerman string) cause {
		return cause{w.in(english, inFrench, german), w.in(helpEnglish, helpFrench, helpGerman)}
	}
	switch headroom.Cause(label) {
	case headroom.CauseNoLicense:
		return c("No license", "Pas de licence", "Keine Lizenz",
			"Assign a license to the users who should have one.",
			"Attribuez une licence aux utilisateurs qui doivent en avoir une.",
			"Weisen Sie den Benutzern, die eine haben sollen, eine Lizenz zu.")
	case headroom.CauseLicenseService:
		return c("License check fails", "Échec du contrôle de licence", "Lizenzprüfung schlägt fehl",
			"These users held a license, so check the license service on the central node.",
			"Ces utilisateurs avaient une licence : vérifiez le service de licences sur le nœud central.",
			"Diese Benutzer hatten eine Lizenz. Prüfen Sie den Lizenzdienst auf dem zentralen Knoten.")
	case headroom.CauseServiceAccount:
		return c("Service accounts", "Comptes de service", "Dienstkonten",
			"Run programs and the monitoring apps under administrator accounts without a license: the limit does not apply to them.",
			"Exécutez les programmes et les applications de surveillance avec des comptes d'administrateur sans licence : la limite ne s'applique pas à eux.",
			"Lassen Sie Programme und Überwachungs-Apps unter Administratorkonten ohne Lizenz laufen: Für sie gilt das Limit nicht.")
	case headroom.CauseLeftoverRows:
		return c("Ended sessions still count", "Sessions terminées encore comptées", "Beendete Sitzungen zählen noch",
			"This usually stops by itself. Ask Qlik's support if it lasts longer than a day.",
			"Cela se règle en général tout seul. Contactez le support de Qlik si cela dure plus d'un jour.",
			"Das gibt sich meist von selbst. Fragen Sie den Support von Qlik, wenn es länger als einen Tag dauert.")
	case headroom.CauseProxyRestart:
		return c("Restart of a proxy", "Redémarrage d'un proxy", "Neustart eines Proxys",
			"Restart proxies outside office hours: ended sessions count for some more minutes.",
			"Redémarrez les proxys en dehors des heures de bureau : les sessions terminées comptent encore quelques minutes.",
			"Starten Sie Proxys außerhalb der Bürozeiten neu: Beendete Sitzungen zählen noch einige Minuten.")
	case headroom.CauseCooling:
		return c("Sessions ended minutes before", "Sessions terminées depuis quelques minutes", "Eben erst beendete Sitzungen",
			"Qlik counts an ended session for some more minutes, so waiting helps. Ending more sessions does not.",
			"Qlik compte encore une session terminée pendant quelques minutes. Il suffit d'attendre ; terminer d'autres sessions n'aide pas.",
			"Qlik zählt eine beendete Sitzung noch einige Minuten mit. Warten hilft, weitere Sitzungen zu beenden hilft nicht.")
	case headroom.CauseProgram:
		return c("Programs that log in repeatedly", "Programmes qui se connectent sans cesse", "Programme, die sich immer wieder anmelden",
			"These programs must keep their session cookie, or log out when they are done.",
			"Ces programmes doivent conserver leur cookie de session, ou se déconnecter quand ils ont fini.",
			"Diese Programme müssen ihr Sitzungscookie behalten oder sich am Ende abmelden.")
	case headroom.CauseRunaway:
		return c("Page or program in a loop", "Page ou programme en boucle", "Seite oder Programm in einer Schleife",
			"Close the page or stop the program, because it can take the whole site down.",
			"Fermez la page ou arrêtez le programme, car le site entier risque de tomber en panne.",
			"Schließen Sie die Seite oder stoppen Sie das Programm, denn es kann die ganze Site lahmlegen.")
	case headroom.CauseEmbeddedPage:
		return c("Embedding page loses its cookie", "Page intégrée qui perd son cookie", "Eingebettete Seite verliert ihr Cookie",
			"Correct the pages that embed Qlik: the browser blocks their session cookie.",
			"Corrigez les pages qui intègrent Qlik : le navigateur bloque leur cookie de session.",
			"Korrigieren Sie die Seiten, die Qlik einbetten: Der Browser blockiert ihr Sitzungscookie.")
	case headroom.CauseSharedAccount:
		return c("Shared accounts", "Comptes partagés", "Gemeinsam benutzte Konten",
			"Give each person an account.",
			"Donnez un compte à chaque personne.",
			"Geben Sie jeder Person ein eigenes Konto.")
	case headroom.CauseForgottenWindows:
		return c("Idle windows", "Fenêtres inactives", "Unbenutzte Fenster",
			"A shorter inactivity timeout helps, and so does logging out instead of closing the window.",
			"Un délai d'inactivité plus court aide, tout comme se déconnecter au lieu de fermer la fenêtre.",
			"Ein kürzeres Inaktivitäts-Timeout hilft, ebenso Abmelden statt nur das Fenster zu schließen.")
	case headroom.CauseSeveralVirtualProxies:
		return c("Several virtual proxies", "Plusieurs proxys virtuels", "Mehrere virtuelle Proxys",
			"Use one virtual proxy for apps that the same people use together.",
			"Utilisez un seul proxy virtuel pour les applications que les mêmes personnes utilisent ensemble.",
			"Benutzen Sie einen einzigen virtuellen Proxy für Apps, die dieselben Personen zusammen benutzen.")
	case headroom.CauseNotSticky:
		return c("Load balancer not sticky", "Répartiteur de charge sans affinité de session", "Load Balancer ohne feste Zuordnung",
			"Enable sticky sessions in the load balancer.",
			"Activez l'affinité de session dans le répartiteur de charge.",
			"Schalten Sie im Load Balancer Sticky Sessions ein.")
	case headroom.CauseSeveralWindows:
		return c("Several browsers or devices", "Plusieurs navigateurs ou appareils", "Mehrere Browser oder Geräte",
			"Log out of Qlik before opening another browser or device.",
			"Il faut se déconnecter de Qlik avant d'utiliser un autre navigateur ou appareil.",
			"Melden Sie sich ab, bevor Sie Qlik in einem anderen Browser oder auf einem anderen Gerät öffnen.")
	case headroom.CauseUnknown:
		return c("Unknown", "Cause inconnue", "Unbekannt",
			"What was known at the time does not show the cause.",
			"Ce qui était connu à ce moment-là ne révèle pas la cause.",
			"Was zu der Zeit bekannt war, zeigt die Ursache nicht.")
	default: // of a newer exporter
		return cause{name: name(label)}
	}
}

// within returns the name of a cause within a sentence.
func (w *words) within(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	if w.lang == German || !unicode.IsUpper(first) {
		return name
	}
	return string(unicode.ToLower(first)) + name[size:]
}

// license returns the name of a license.
func (w *words) license(label string) string {
	switch label {
	case qlik.LicenseProfessional:
		return "Professional"
	case qlik.LicenseAnalyzer:
		return "Analyzer"
	case qlik.LicenseUser:
		return w.in("User access", "Accès utilisateur", "Benutzerzugriff")
	case report.Tokens:
		return w.in("Tokens", "Jetons", "Token")
	case report.Capacity:
		return w.in("Analyzer capacity (minutes a month)", "Capacité Analyzer (minutes par mois)", "Analyzer-Kapazität (Minuten pro Monat)")
	default:
		return name(label)
	}
}

// verdict says how many logins were refused, and compares that with the weeks before.
func (w *words) verdict(s *report.Site, weeks int, noWeekBefore string) string {
	value := s.Refused.Value
	var said []string
	switch {
	case value == nil && s.Known == 0:
		return w.in("There is no data for this time, so nothing is known about refused logins.",
			"Il n'y a aucune donnée pour cette période : on ne sait rien des connexions refusées.",
			"Für diese Zeit gibt es keine Daten. Über abgelehnte Anmeldungen ist nichts bekannt.")
	case value == nil:
		said = append(said, w.in("How many logins Qlik refused is unknown, because Prometheus has no counts of refused logins for this time.",
			"Le nombre de connexions refusées par Qlik est inconnu, car Prometheus n'a pas de décompte des refus pour cette période.",
			"Wie viele Anmeldungen Qlik abgelehnt hat, ist unbekannt: Prometheus hat für diese Zeit keine Zahlen dazu."))
	case none(value) && s.Refused.AtLeast:
		said = append(said, w.in("No refused login is known, but data for this time is missing.",
			"Aucun refus n'est connu, mais des données manquent pour cette période.",
			"Es ist keine abgelehnte Anmeldung bekannt, aber für diese Zeit fehlen Daten."))
	case none(value):
		said = append(said, w.in("Nobody was refused because of the session limit.",
			"Personne n'a été refusé à cause de la limite de sessions.",
			"Niemand wurde wegen des Sitzungslimits abgewiesen."))
	default:
		said = append(said, w.refused(s, weeks))
	}
	switch {
	case value == nil:
	case s.Refused.Before == nil:
		said = append(said, noWeekBefore)
	default:
		said = append(said, w.compared(&s.Refused, weeks))
	}
	if unlicensed := s.NoLicense.Value; unlicensed != nil && !none(unlicensed) {
		said = append(said, w.noLicense(&s.NoLicense, value == nil || none(value)))
	}
	return strings.Join(said, " ")
}

// none reports whether a number of events is shown as 0.
func none(value *float64) bool { return math.Round(*value) <= 0 }

func (w *words) refused(s *report.Site, weeks int) string {
	many := w.counted(&s.Refused, login)
	if s.People.Value != nil && !none(s.People.Value) {
		many = w.say("%s of %s", "%s (%s)", "%s von %s", many, w.counted(&s.People, person))
	}
	if weeks > 1 {
		return w.say("In %s, Qlik refused %s because of the session limit.",
			"En %s, Qlik a refusé %s à cause de la limite de sessions.",
			"In %s hat Qlik %s wegen des Sitzungslimits abgelehnt.", w.count(float64(weeks), week), many)
	}
	return w.say("Qlik refused %s because of the session limit.",
		"Qlik a refusé %s à cause de la limite de sessions.",
		"Qlik hat %s wegen des Sitzungslimits abgelehnt.", many)
}

func (w *words) noLicense(c *report.Compared, only bool) string {
	what := moreLogins
	if only {
		what = login
	}
	many := w.counted(c, what)
	if w.one(*c.Value) {
		return capital(w.say("%s was refused because Qlik found no license.", "%s a été refusée, car Qlik n'a pas trouvé de licence.",
			"%s wurde abgelehnt, weil Qlik keine Lizenz fand.", many))
	}
	return capital(w.say("%s were refused because Qlik found no license.", "%s ont été refusées, car Qlik n'a pas trouvé de licence.",
		"%s wurden abgelehnt, weil Qlik keine Lizenz fand.", many))
}

// noWeekBefore says why a site is not compared.
func (w *words) noWeekBefore() string {
	return w.in("No earlier week has enough data to compare.",
		"Aucune semaine antérieure n'a assez de données pour comparer.",
		"Keine frühere Woche hat genug Daten für einen Vergleich.")
}

// compared compares the number of a week with those before.
func (w *words) compared(c *report.Compared, weeks int) string {
	before, number := shown(*c.Before), *c.Value
	average := w.average(c.BeforeWeeks)
	if weeks > 1 {
		number = shown(number / float64(weeks))
	} else {
		number = math.Round(number)
	}
	more := shown(number - before)
	switch {
	case number == 0 && before == 0 && c.BeforeWeeks == 1:
		return w.in("The week before had no refused logins either.", "Il n'y avait pas non plus de refus la semaine précédente.", "Auch in der Woche davor gab es keine Ablehnungen.")
	case number == 0 && before == 0 && c.BeforeWeeks == notTheSame:
		return w.in("The weeks before had no refused logins either.", "Il n'y avait pas non plus de refus auparavant.", "Auch davor gab es keine Ablehnungen.")
	case number == 0 && before == 0:
		return w.say("The %d weeks before had no refused logins either.", "Il n'y avait pas non plus de refus dans les %d semaines précédentes.",
			"Auch in den %d Wochen davor gab es keine Ablehnungen.", c.BeforeWeeks)
	case number == 0:
		return w.say("Refused logins %s: %s.", "Refus pour %s : %s.", "Ablehnungen %s: %s.", average, w.about(before))
	case more < 0 && c.AtLeast:
		return w.say("Refused logins %s: %s, but data for the reported time is missing.",
			"Refus pour %s : %s, mais des données manquent pour la période du rapport.",
			"Ablehnungen %s: %s, aber für den Berichtszeitraum fehlen Daten.", average, w.about(before))
	}
	difference := w.difference(more, c.AtLeast, average, before)
	switch {
	case weeks > 1:
		return w.say("That is %s a week, %s.", "Cela fait %s par semaine, %s.", "Das sind %s pro Woche, %s.", w.atLeast(c.AtLeast, w.about(number)), difference)
	case w.lang == German && math.Abs(more) == 1:
		return "Das ist " + difference + "."
	default:
		return w.say("That is %s.", "C'est %s.", "Das sind %s.", difference)
	}
}

// difference says how many more or fewer than in an average week.
func (w *words) difference(more float64, bound bool, average string, before float64) string {
	number := w.atLeast(bound, w.about(math.Abs(more)))
	switch {
	case more > 0:
		return w.say("%s more than %s (%s)", "%s de plus que %s (%s)", "%s mehr als %s (%s)", number, average, w.about(before))
	case more < 0:
		return w.say("%s fewer than %s (%s)", "%s de moins que %s (%s)", "%s weniger als %s (%s)", number, average, w.about(before))
	case bound:
		return w.say("at least as many as %s", "au moins autant que %s", "mindestens so viele wie %s", average)
	default:
		return w.say("as many as %s", "autant que %s", "genauso viele wie %s", average)
	}
}

// notTheSame is the number of weeks before of several sites that differ in it.
const notTheSame = 0

// average names the weeks before.
func (w *words) average(weeks int) string {
	switch weeks {
	case notTheSame:
		return w.in("in an average week before", "la moyenne hebdomadaire antérieure", "im früheren Wochendurchschnitt")
	case 1:
		return w.in("in the only earlier week with enough data", "la seule semaine antérieure qui a assez de données", "in der einzigen früheren Woche mit genug Daten")
	case report.WeeksBefore:
		return w.say("in an average week of the %d weeks before", "la moyenne des %d semaines précédentes", "im Durchschnitt der %d Wochen davor", weeks)
	default:
		return w.say("in an average week of the %d earlier weeks with enough data", "la moyenne des %d semaines antérieures qui ont assez de données",
			"im Durchschnitt der %d früheren Wochen mit genug Daten", weeks)
	}
}

// mainCause says why most logins were refused.
func (w *words) mainCause(s *report.Site) string {
	var all, exact, unknown float64
	var known []report.Cause
	for _, c := range s.Causes {
		switch {
		case c.Refused.Value == nil || none(c.Refused.Value):
			continue
		case (c.Cause == string(headroom.CauseNoLicense) || c.Cause == string(headroom.CauseLicenseService)) && positive(s.Refused.Value):
			continue // the verdict counts them apart
		case c.Cause == string(headroom.CauseUnknown):
			unknown = math.Round(*c.Refused.Value)
		default:
			known = append(known, c)
		}
		all += math.Round(*c.Refused.Value)
		exact += *c.Refused.Value
	}
	if all == 0 {
		if s.Refused.Value == nil || none(s.Refused.Value) {
			return ""
		}
		return w.in("The causes are unknown, because none were recorded.", "Les causes sont inconnues, car aucune n'a été enregistrée.",
			"Die Ursachen sind unbekannt, weil keine aufgezeichnet wurden.")
	}
	if len(known) == 0 {
		return w.in("The causes are unknown: what was known at the time does not show them.",
			"Les causes sont inconnues : ce qui était connu à ce moment-là ne les révèle pas.",
			"Die Ursachen sind unbekannt: Was zu der Zeit bekannt war, zeigt sie nicht.")
	}
	all, missing := w.ofRefused(s, all, exact)
	unknown += missing
	main := w.cause(known[0].Cause)
	main.name = w.within(main.name)
	n := math.Round(*known[0].Refused.Value)
	if unknown >= n {
		return w.say("The cause of %[1]s of %[2]s is unknown. The main known cause: %[3]s (%[4]s). %[5]s",
			"La cause est inconnue pour %[1]s refus sur %[2]s. Première cause connue : %[3]s (%[4]s). %[5]s",
			"Bei %[1]s von %[2]s ist die Ursache unbekannt. Häufigste bekannte Ursache: %[3]s (%[4]s). %[5]s",
			w.whole(unknown), w.whole(all), main.name, w.whole(n), main.help)
	}
	if len(known) > 1 && math.Round(*known[1].Refused.Value) == n {
		return w.say("Main causes: %[1]s, and %[2]s (each %[3]s of %[4]s).", "Causes principales : %[1]s, et %[2]s (%[3]s sur %[4]s chacune).",
			"Hauptursachen: %[1]s sowie %[2]s (je %[3]s von %[4]s).", main.name, w.within(w.cause(known[1].Cause).name), w.whole(n), w.whole(all))
	}
	return strings.TrimSpace(w.say("Main cause: %s (%s of %s). %s", "Cause principale : %s (%s sur %s). %s", "Hauptursache: %s (%s von %s). %s",
		main.name, w.whole(n), w.whole(all), main.help))
}

// ofRefused returns the number of refused logins that causes are compared with, as the verdict
// says it, and how many of them have no recorded cause. The causes of logins that were refused
// because of a missing license may be unknown, too.
func (w *words) ofRefused(s *report.Site, all, exact float64) (refused, missing float64) {
	if s.Refused.Value == nil {
		return all, 0
	}
	refused = math.Round(*s.Refused.Value)
	switch more := math.Round(exact - *s.Refused.Value); {
	case more < 0:
		return refused, -more
	case more > 0 && s.NoLicense.Value != nil:
		return max(refused+math.Round(*s.NoLicense.Value), all), 0
	case more > 0:
		return all, 0
	default:
		return refused, 0
	}
}

// mainVirtualProxy says where people at the limit have most of their sessions.
func (w *words) mainVirtualProxy(s *report.Site) string {
	if len(s.VirtualProxies) == 0 {
		return ""
	}
	v := &s.VirtualProxies[0]
	if v.Share == nil || *v.Share < 0.005 {
		return ""
	}
	return w.say("%[1]s of the sessions of people at the limit are on the virtual proxy %[2]s.",
		"%[1]s des sessions des personnes à la limite sont sur le proxy virtuel %[2]s.",
		"%[1]s der Sitzungen von Personen am Limit sind auf dem virtuellen Proxy %[2]s.", capital(w.percent(*v.Share)), w.quoted(v.VirtualProxy))
}

// shorterTimeout says what the mildest and the strictest timeout would have prevented.
func (w *words) shorterTimeout(s *report.Site) string {
	if s.Refused.Value == nil || none(s.Refused.Value) {
		return ""
	}
	switch n := len(s.Timeouts); {
	case n == 0 && s.LongestTimeout != nil && *s.LongestTimeout <= strictest:
		return w.say("The inactivity timeouts are short already: at most %s.", "Les délais d'inactivité sont déjà courts : %s au plus.",
			"Die Inaktivitäts-Timeouts sind schon kurz: höchstens %s.", w.count(*s.LongestTimeout, minute))
	case n == 0:
		return w.in("What a shorter inactivity timeout would have prevented is unknown: no idle times were recorded.",
			"On ne sait pas ce qu'un délai d'inactivité plus court aurait évité : aucune durée d'inactivité n'a été enregistrée.",
			"Was ein kürzeres Inaktivitäts-Timeout verhindert hätte, ist unbekannt: Es wurden keine Leerlaufzeiten aufgezeichnet.")
	case none(&s.Timeouts[n-1].Prevented):
		return w.say("An inactivity timeout of %s would have prevented almost none of these refused logins.",
			"Un délai d'inactivité de %s n'aurait évité presque aucun de ces refus.",
			"Ein Inaktivitäts-Timeout von %s hätte fast keine dieser Ablehnungen verhindert.", w.count(float64(s.Timeouts[n-1].Minutes), minute))
	case n == 1 || none(&s.Timeouts[0].Prevented):
		last := &s.Timeouts[n-1]
		return w.say("An inactivity timeout of %s would have prevented %s of these refused logins.",
			"Un délai d'inactivité de %s aurait évité %s de ces refus.",
			"Ein Inaktivitäts-Timeout von %s hätte %s dieser Ablehnungen verhindert.", w.count(float64(last.Minutes), minute), w.estimate(last.Prevented))
	default:
		first, last := &s.Timeouts[0], &s.Timeouts[n-1]
		return w.say("An inactivity timeout of %[1]s would have prevented %[2]s of these refused logins, and one of %[3]s %[4]s.",
			"Un délai d'inactivité de %[1]s aurait évité %[2]s de ces refus, et un délai de %[3]s %[4]s.",
			"Ein Inaktivitäts-Timeout von %[1]s hätte %[2]s dieser Ablehnungen verhindert, eines von %[3]s %[4]s.",
			w.count(float64(first.Minutes), minute), w.estimate(first.Prevented), w.count(float64(last.Minutes), minute), w.estimate(last.Prevented))
	}
}

// strictest is the shortest timeout in minutes that is estimated.
const strictest = 10

func (w *words) estimate(n float64) string {
	if none(&n) {
		return w.in("almost none", "presque aucun", "fast keine")
	}
	return w.in("about ", "environ ", "etwa ") + w.whole(n)
}

// guard says what the guard did or would have done.
func (w *words) guard(s *report.Site) string {
	g := s.Guard
	switch {
	case g == nil && s.Known == 0:
		return ""
	case g == nil && s.Refused.Value != nil && none(s.Refused.Value):
		return "" // it is not needed
	case g == nil:
		return w.in("The guard is off. Its dry run would show which refused logins it prevents.",
			"Le garde-fou (guard) est désactivé. Sa simulation (dry run) montrerait quels refus il évite.",
			"Der Wächter (guard) ist ausgeschaltet. Sein Probelauf (dry run) würde zeigen, welche Ablehnungen er verhindert.")
	case g.Ended == nil:
		return w.in("What the guard did is unknown, because its counts are missing.", "L'effet du garde-fou (guard) est inconnu, car ses décomptes manquent.",
			"Was der Wächter (guard) getan hat, ist unbekannt, weil seine Zahlen fehlen.")
	case g.On && none(g.Ended):
		return w.in("The guard is on and ended no session.", "Le garde-fou (guard) est actif et n'a terminé aucune session.",
			"Der Wächter (guard) ist eingeschaltet und hat keine Sitzung beendet.")
	case g.On:
		return w.say("The guard ended %s so that the next login succeeds.", "Le garde-fou (guard) a terminé %s pour que la prochaine connexion réussisse.",
			"Der Wächter (guard) hat %s beendet, damit die nächste Anmeldung gelingt.", w.count(*g.Ended, idleSession))
	case none(g.Ended):
		return w.in("In its dry run, the guard would have ended no session.", "Dans sa simulation (dry run), le garde-fou (guard) n'aurait terminé aucune session.",
			"Im Probelauf (dry run) hätte der Wächter (guard) keine Sitzung beendet.")
	}
	ended := w.count(*g.Ended, idleSession)
	if g.PreventedLow == nil || g.PreventedHigh == nil {
		return w.say("In its dry run, the guard would have ended %s. How many refused logins this would have prevented is unknown.",
			"Dans sa simulation (dry run), le garde-fou (guard) aurait terminé %s. On ne sait pas combien de refus cela aurait évités.",
			"Im Probelauf (dry run) hätte der Wächter (guard) %s beendet. Wie viele Ablehnungen das verhindert hätte, ist unbekannt.", ended)
	}
	if none(g.PreventedHigh) {
		return w.returned(w.say("In its dry run, the guard would have ended %s and prevented none of the refused logins.",
			"Dans sa simulation (dry run), le garde-fou (guard) aurait terminé %s, mais n'aurait évité aucun refus.",
			"Im Probelauf (dry run) hätte der Wächter (guard) %s beendet und keine der Ablehnungen verhindert.", ended), g)
	}
	return w.returned(w.say("In its dry run, the guard would have ended %s and prevented %s of the refused logins.",
		"Dans sa simulation (dry run), le garde-fou (guard) aurait terminé %s et évité %s des refus.",
		"Im Probelauf (dry run) hätte der Wächter (guard) %s beendet und %s der Ablehnungen verhindert.", ended, w.between(*g.PreventedLow, *g.PreventedHigh)), g)
}

// returned adds how many of the sessions in the dry run were used again.
func (w *words) returned(said string, g *report.Guard) string {
	if g.Returned == nil || none(g.Returned) {
		return said
	}
	if w.one(*g.Returned) {
		return said + " " + w.in("One of these sessions was used again later.", "L'une de ces sessions a été réutilisée par la suite.", "Eine dieser Sitzungen wurde später wieder benutzt.")
	}
	return said + " " + w.say("%s of these sessions were used again later.", "%s de ces sessions ont été réutilisées par la suite.",
		"%s dieser Sitzungen wurden später wieder benutzt.", w.whole(*g.Returned))
}

var idleSession = noun{"idle session", "idle sessions", "session inactive", "sessions inactives", "unbenutzte Sitzung", "unbenutzte Sitzungen"}

// between returns two readings of a number.
func (w *words) between(low, high float64) string {
	if low, high = math.Round(low), math.Round(high); low == high {
		return w.whole(low)
	}
	return w.say("%s to %s", "%s à %s", "%s bis %s", w.whole(low), w.whole(high))
}

// unusedLicenses says how many seats need not be renewed, or "".
func (w *words) unusedLicenses(licenses []report.License) string {
	var unused []string
	singular := false
	for i := range licenses {
		if n := licenses[i].Unused; n != nil && !none(n) {
			singular = len(unused) == 0 && w.one(*n)
			seats := w.license(licenses[i].License)
			unused = append(unused, w.say("%s %s", "%s %s", "%s %s", w.whole(*n), seats))
		}
	}
	switch {
	case unused == nil:
		return ""
	case singular:
		return w.say("Assigned license not used for 90 days: %s.", "Licence attribuée mais non utilisée depuis 90 jours : %s.",
			"Zugewiesene, seit 90 Tagen unbenutzte Lizenz: %s.", w.list(unused))
	default:
		return w.say("Assigned licenses not used for 90 days: %s.", "Licences attribuées mais non utilisées depuis 90 jours : %s.",
			"Zugewiesene, seit 90 Tagen unbenutzte Lizenzen: %s.", w.list(unused))
	}
}

// runsOut returns when none are left of a license, as a cell of a table.
func (w *words) runsOut(l *report.License) string {
	r := &l.RunsOut
	switch r.State {
	case report.RunOut:
		return w.in("none left now", "déjà épuisé", "schon aufgebraucht")
	case report.RunsOutAt:
		return w.say("around %s%s", "vers le %s%s", "um den %s%s", w.dayOfYear(r.At.Time), w.band(r))
	case report.RunsOutNotSoon:
		said := w.in("not within 180 days", "pas dans les 180 jours", "nicht in den nächsten 180 Tagen")
		if l.License == report.Capacity {
			said = w.in("not this month", "pas ce mois-ci", "nicht in diesem Monat")
		}
		if r.Band && !r.Earliest.IsZero() {
			said += w.say(", at the earliest on %s", ", au plus tôt le %s", ", frühestens am %s", w.dayOfYear(r.Earliest.Time))
		}
		return said
	default:
		return w.in("unknown: too few data", "inconnu : trop peu de données", "unbekannt: zu wenig Daten")
	}
}

func (w *words) band(r *report.RunsOut) string {
	switch {
	case !r.Band:
		return ""
	case r.Earliest.IsZero():
		return ""
	case r.Latest.IsZero():
		return w.say(" (at the earliest on %s, or much later)", " (au plus tôt le %s, ou bien plus tard)", " (frühestens am %s, oder viel später)", w.dayOfYear(r.Earliest.Time))
	default:
		return w.say(" (between %s and %s)", " (entre le %s et le %s)", " (zwischen dem %s und dem %s)", w.dayOfYear(r.Earliest.Time), w.dayOfYear(r.Latest.Time))
	}
}

// firstOut says which license runs out first, or "" if none does soon.
func (w *words) firstOut(licenses []report.License) string {
	var gone []string
	var first *report.License
	for i := range licenses {
		l := &licenses[i]
		switch l.RunsOut.State {
		case report.RunOut:
			gone = append(gone, w.license(l.License))
		case report.RunsOutAt:
			if first == nil || l.RunsOut.At.Before(first.RunsOut.At.Time) {
				first = l
			}
		}
	}
	switch {
	case gone != nil:
		return w.say("None left: %s.", "Épuisé : %s.", "Aufgebraucht: %s.", w.list(gone))
	case first != nil:
		return w.say("Runs out first: %s, %s.", "Premier épuisement : %s, %s.", "Zuerst aufgebraucht: %s, %s.", w.license(first.License), w.runsOut(first))
	default:
		return ""
	}
}

// licenseProblem says that the license of Qlik is invalid, or "".
func (w *words) licenseProblem(s *report.Site) string {
	if s.LicenseValid != nil && !*s.LicenseValid {
		return w.in("The license of Qlik Sense is not valid.", "La licence de Qlik Sense n'est pas valide.", "Die Lizenz von Qlik Sense ist nicht gültig.")
	}
	return ""
}

// capital returns a sentence that begins with a capital letter.
func capital(sentence string) string {
	first, size := utf8.DecodeRuneInString(sentence)
	return string(unicode.ToUpper(first)) + sentence[size:]
}
