package answer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// The languages of Answer.Say.
const (
	English = "en"
	French  = "fr"
	German  = "de"
)

// words are the sentences of an answer.
type words struct {
	verdict, why, advice string
	tell                 map[string]string
	canEnd               bool // ending sessions of the user helps
}

func tell(english, french, german string) map[string]string {
	return map[string]string{English: english, French: french, German: german}
}

// judge sets CanLogIn and returns the sentences.
func (q *Question) judge(a *Answer, facts *headroom.Facts, row *sessions.Row) words {
	can := func(yes bool) { a.CanLogIn = &yes }
	name := text.Visible(q.User.String())
	switch {
	case !q.Snapshot.Up():
		return q.unknown(name + ": it is unknown whether the user can log in, because no node of the site answers.")
	case q.User.Anonymous():
		return words{
			verdict: "Anonymous users have no session limit.", advice: "Nothing to free.",
			tell: tell("There is no session limit for anonymous users.", "Il n'y a pas de limite de sessions pour les utilisateurs anonymes.",
				"Für anonyme Benutzer gibt es keine Begrenzung der Sitzungen."),
		}
	case a.Cause == headroom.CauseNoLicense:
		can(false)
	case a.Cause == headroom.CauseLicenseService && !worksAgain(facts):
		can(false)
	case a.Cause == headroom.CauseLicenseService:
		// Nobody knows before the user tries.
	case facts.LicenseDoubtful() && (row.EffectiveHeadroom > 0 || !row.Limited):
		return q.licenseInDoubt(facts)
	case len(facts.Slots) > 0 && !row.Limited:
		can(true)
		return words{
			verdict: name + " can log in: no session limit applies to this user.", advice: "Nothing to free.", tell: logIn(),
		}
	case facts.License == qlik.LicenseNone && facts.Administrator && row.EffectiveHeadroom > 1:
		can(true)
		return words{
			verdict: name + " can log in: the session limit does not apply to administrators without a license.", advice: "Nothing to free.", tell: logIn(),
		}
	case facts.License == qlik.LicenseNone && facts.ServiceAccount != headroom.NoServiceAccount:
		return words{
			verdict: name + " holds no license, so the session limit does not apply.",
			advice:  "Leave it like that: an account that runs programs should hold none. There is nothing to free.",
			tell:    technical(),
		}
	case facts.License == qlik.LicenseNone && !facts.Administrator:
		advice := "If the user should open apps, assign a license in the QMC under License management."
		if !facts.RolesKnown {
			advice = "An administrator needs no license to work in the QMC. " + advice
		}
		return words{
			verdict: name + " holds no license, so apps cannot be opened. The session limit does not apply.",
			advice:  advice,
			tell: tell("You have no Qlik Sense license. I will ask whether you should have one.",
				"Vous n'avez pas de licence Qlik Sense. Je vais demander si une licence est prévue pour vous.",
				"Sie haben keine Lizenz für Qlik Sense. Ich frage nach, ob Sie eine bekommen sollen."),
		}
	case q.capacityUsedUp() && facts.License == qlik.LicenseAnalyzerCapacity:
		can(false)
		return words{
			verdict: name + " cannot log in: the minutes of analyzer capacity are used up, and the user has no other access.",
			advice:  "Assign analyzer access to the user in the QMC under License management, or wait until new minutes come at the start of the month. There is nothing to free.",
			tell: tell("The shared minutes of your Qlik license are used up for this month. I will ask whether you can get a license of your own.",
				"Les minutes partagées de votre licence Qlik sont épuisées pour ce mois-ci. Je vais demander si vous pouvez avoir votre propre licence.",
				"Die gemeinsamen Minuten Ihrer Qlik-Lizenz sind für diesen Monat verbraucht. Ich frage nach, ob Sie eine eigene Lizenz bekommen können."),
		}
	case q.capacityUsedUp() && facts.License == qlik.LicenseUnknown:
		return words{
			verdict: name + ": it is unknown whether the user can log in. The minutes of analyzer capacity are used up, and no other access of the user is known.",
			advice:  "Look in the QMC under License management whether the user has an access. If not, assign one, or wait until new minutes come at the start of the month.",
			tell: tell("The shared minutes of your Qlik license may be used up for this month. I will look at your license.",
				"Les minutes partagées de votre licence Qlik sont peut-être épuisées pour ce mois-ci. Je vais vérifier votre licence.",
				"Die gemeinsamen Minuten Ihrer Qlik-Lizenz sind vielleicht für diesen Monat verbraucht. Ich sehe nach, welche Lizenz Sie haben."),
		}
	case !q.Snapshot.Has(q.User):
		if !facts.Complete && !facts.RowsKnown {
			return q.unknown(name + " has no session on the nodes that answer. The other nodes may have some.")
		}
		can(true)
		w := words{verdict: name + " has no sessions, so no limit is in the way.", advice: "Nothing to free. If the login fails, look for another cause than the session limit.", tell: logIn()}
		if facts.ServiceAccount != headroom.NoServiceAccount {
			w.advice = q.serviceAccountAdvice(facts)
		}
		return w
	case row.EffectiveHeadroom > 0 && !facts.Complete && !facts.RowsKnown:
		return q.unknown(fmt.Sprintf("%s: at most %s free, but a node does not answer, so there may be more sessions.", name, free(row.EffectiveHeadroom)))
	case row.EffectiveHeadroom > 1:
		can(true)
		w := words{verdict: fmt.Sprintf("%s can log in: %s free.", name, free(row.EffectiveHeadroom)), advice: "Nothing to free.", tell: logIn()}
		switch {
		case facts.ServiceAccount != headroom.NoServiceAccount:
			w.advice = q.serviceAccountAdvice(facts)
		case facts.RefusedLately():
			w.advice = "Nothing to free. Ask the user to log in again."
		}
		return w
	case row.EffectiveHeadroom == 1:
		can(true)
	default:
		can(false)
	}
	w := q.because(a, facts, row, !q.Snapshot.Wait(&row.UserStatus).IsZero())
	switch {
	case a.Cause == headroom.CauseNoLicense || a.Cause == headroom.CauseLicenseService:
	case *a.CanLogIn:
		w.verdict = fmt.Sprintf("%s can log in once more: 1 of %d slots is free.", name, facts.Limit)
	case q.limitUnclear(facts):
		a.CanLogIn = nil
		w.verdict = fmt.Sprintf("%s: all %d slots are taken, but it is unknown whether the session limit applies to users of analyzer capacity.", name, facts.Limit)
	case row.NextSlot.IsZero():
		w.verdict = fmt.Sprintf("%s cannot log in: all %d slots are taken. It is unknown when one becomes free by itself.", name, facts.Limit)
	default:
		w.verdict = fmt.Sprintf("%s cannot log in: all %d slots are taken. One becomes free by itself by %s.", name, facts.Limit, text.Coming(row.NextSlot, q.Now))
	}
	return w
}

// worksAgain reports whether Qlik has let anybody in since it last refused the user.
func worksAgain(facts *headroom.Facts) bool {
	return len(facts.Refusals) > 0 && facts.LastGranted.After(facts.Refusals[0].At)
}

// capacity returns the analyzer capacity of the site, or nil if it has none.
func (q *Question) capacity() *qlik.Capacity {
	if q.Snapshot.Licenses == nil {
		return nil
	}
	return q.Snapshot.Licenses.Capacity
}

func (q *Question) capacityUsedUp() bool {
	capacity := q.capacity()
	return capacity != nil && capacity.UsedUp()
}

// limitUnclear reports whether it is unknown that the limit applies to the user (docs/qlik.md,
// "The limit"). A user of unknown license may work on capacity. A refusal for the limit shows
// that it applies. The recording rule user:qlik_user_analyzer_capacity:last2h says the same.
func (q *Question) limitUnclear(facts *headroom.Facts) bool {
	capacity := q.capacity()
	onCapacity := facts.License == qlik.LicenseAnalyzerCapacity ||
		facts.License == qlik.LicenseUnknown && capacity != nil && capacity.Allocated != nil && *capacity.Allocated > 0
	return onCapacity &&
		!slices.ContainsFunc(facts.Refusals, func(r qlik.Refusal) bool { return r.Reason == qlik.RefusedSessionLimit })
}

func free(slots int) string {
	if slots == 1 {
		return "1 slot is"
	}
	return fmt.Sprintf("%d slots are", slots)
}

func technical() map[string]string {
	return tell("This is a technical account. An administrator has to look at its license.",
		"C'est un compte technique. Un administrateur doit vérifier sa licence.",
		"Das ist ein technisches Konto. Ein Administrator muss sich seine Lizenz ansehen.")
}

func logIn() map[string]string {
	return tell("You can log in now.", "Vous pouvez vous connecter maintenant.", "Sie können sich jetzt anmelden.")
}

func (q *Question) unknown(verdict string) words {
	return words{
		verdict: verdict, advice: "Find out why a node does not answer: qlik_exporter check.",
		tell: tell("I cannot see that right now. Please try to log in, and call again if it fails.",
			"Je ne peux pas le voir pour l'instant. Essayez de vous connecter, et rappelez si cela ne marche pas.",
			"Das kann ich gerade nicht sehen. Bitte versuchen Sie sich anzumelden, und rufen Sie wieder an, wenn es nicht geht."),
	}
}

// licenseInDoubt returns what is said of a user who was refused for want of a license, and
// may have one that serves now.
func (q *Question) licenseInDoubt(facts *headroom.Facts) words {
	why := ""
	if facts.Unusable {
		why = ", and the user's license is in quarantine or in excess"
	}
	return words{
		verdict: fmt.Sprintf("%s: it is unknown whether the user can log in. Qlik refused the user for want of a license at %s%s.",
			text.Visible(q.User.String()), text.Gone(facts.Refusals[0].At, q.Now), why),
		advice: "Look in the QMC under License management whether the user has a license that is neither in excess nor in quarantine. There is nothing to free.",
		tell: tell("Qlik refused you because of your license. I will look at it. Please try again in five minutes.",
			"Qlik vous a refusé l'accès à cause de votre licence. Je vais vérifier. Réessayez dans cinq minutes.",
			"Qlik hat Sie wegen Ihrer Lizenz abgewiesen. Ich sehe nach. Bitte versuchen Sie es in fünf Minuten noch einmal."),
	}
}

// clock returns a time of day for people, such as 14:05.
func (q *Question) clock(t time.Time) string {
	return t.In(q.Now.Location()).Add(59 * time.Second).Format("15:04")
}

// because returns the sentences about the cause of a user near the limit. To end sessions
// is no advice if waiting is as fast.
func (q *Question) because(a *Answer, facts *headroom.Facts, row *sessions.Row, waiting bool) words {
	wait := row.NextSlot
	count := func(state headroom.SlotState) (n int) {
		for i := range facts.Slots {
			if facts.Slots[i].State == state {
				n++
			}
		}
		return n
	}
	name := text.Visible(q.User.String())
	can := row.EffectiveHeadroom > 0
	patience := q.logOutOrWait(can, wait, waiting)
	endForYou := func(english, french, german string) map[string]string {
		switch {
		case waiting:
			return patience.tell
		case can:
			return tell("You can log in once more. "+english+".", "Vous pouvez vous connecter encore une fois. "+french+".", "Sie können sich noch einmal anmelden. "+german+".")
		default:
			return tell(english+". Five minutes later, you can log in.", french+". Cinq minutes plus tard, vous pourrez vous connecter.", german+". Fünf Minuten später können Sie sich anmelden.")
		}
	}
	endOrWait := func(end string) string {
		switch {
		case waiting:
			return patience.advice
		case can:
			return end + "."
		default:
			return end + ": a slot is free five minutes later."
		}
	}
	switch a.Cause {
	case headroom.CauseNoLicense:
		return words{
			verdict: name + " cannot log in: the user holds no license.",
			why:     "Qlik refused the login for want of a license, and no license is assigned to the user.",
			advice:  "Ask who decides about licenses. If the user should have one, assign it in the QMC under License management: the next login works, and the exporter knows of it within five minutes. There is nothing to free.",
			tell: tell("You have no Qlik Sense license, so Qlik does not let you in. I will ask whether you should have one.",
				"Vous n'avez pas de licence Qlik Sense, c'est pourquoi Qlik refuse l'accès. Je vais demander si une licence est prévue pour vous.",
				"Sie haben keine Lizenz für Qlik Sense, deshalb lässt Qlik Sie nicht hinein. Ich frage nach, ob Sie eine bekommen sollen."),
		}
	case headroom.CauseLicenseService:
		if worksAgain(facts) {
			return words{
				verdict: fmt.Sprintf("%s: it is unknown whether the user can log in. Qlik refused the user for want of a license, %s, but has let others in since.",
					name, text.Gone(facts.Refusals[0].At, q.Now)),
				why:    "The license was assigned before the login was refused, so the problem was in the license service and not with this user.",
				advice: "Have the user try again. If Qlik refuses the user again, look at the license service on the central node, and at the license in the QMC under License management.",
				tell: tell("Your license is fine, but Qlik could not check it for some time. Please try again, and call again if it fails.",
					"Votre licence est en ordre, mais Qlik n'a pas pu la vérifier pendant un moment. Réessayez, et rappelez si cela ne marche pas.",
					"Ihre Lizenz ist in Ordnung, aber Qlik konnte sie eine Zeit lang nicht prüfen. Bitte versuchen Sie es noch einmal, und rufen Sie wieder an, wenn es nicht geht."),
			}
		}
		return words{
			verdict: name + " cannot log in: Qlik refuses the user for want of a license, although one is assigned.",
			why:     "The license was assigned before the login was refused, so the problem is in the license service and not with this user.",
			advice:  "Look at the license service on the central node, and at the license in the QMC under License management. There is nothing to free.",
			tell: tell("Your license is fine, but Qlik cannot check it at the moment. We are working on it.",
				"Votre licence est en ordre, mais Qlik ne peut pas la vérifier en ce moment. Nous nous en occupons.",
				"Ihre Lizenz ist in Ordnung, aber Qlik kann sie gerade nicht prüfen. Wir kümmern uns darum."),
		}
	case headroom.CauseServiceAccount:
		if facts.ServiceAccount == headroom.ConnectsReloads {
			return words{
				why:    "The data connections of the monitoring apps (monitor_apps_REST_) log in as this user, and each reload takes a slot.",
				advice: "Move these data connections to another root administrator, or take the license away if no person uses the account. To help now: " + patience.advice,
				tell: tell("Reloads of the monitoring apps use your account and take your slots. An administrator has to move them to another account. "+patience.tell[English],
					"Des rechargements des applications de surveillance utilisent votre compte et occupent vos places. Un administrateur doit les déplacer vers un autre compte. "+patience.tell[French],
					"Ladevorgänge der Überwachungs-Apps benutzen Ihr Konto und belegen Ihre Plätze. Ein Administrator muss sie auf ein anderes Konto umstellen. "+patience.tell[German]),
				canEnd: true,
			}
		}
		return words{
			why:    "This account runs programs, such as reloads, and each of them takes a slot.",
			advice: q.serviceAccountAdvice(facts),
			tell:   technical(),
		}
	case headroom.CauseLeftoverRows:
		return words{
			why:    fmt.Sprintf("Qlik's license check still counts %s that no longer exist.", text.Count(count(headroom.SlotLeftover), "session")),
			advice: "Wait: they usually end by themselves. If they are still there after a day, ask Qlik's support. Do not restart services for this.",
			tell:   leftover(a.Sessions > 0),
			canEnd: a.Sessions > 0,
		}
	case headroom.CauseProxyRestart, headroom.CauseCooling:
		why := "Sessions that ended a few minutes ago still hold their slots: Qlik frees a slot only some minutes after a session ended at the limit."
		if a.Cause == headroom.CauseProxyRestart {
			why = "The proxy of a node restarted and ended all of its sessions. Their slots are free again a few minutes later."
		}
		if wait.IsZero() {
			return words{why: why, advice: "Wait a few minutes, and end no more sessions: their slots would have to wait, too.", tell: tell(
				"Please wait a few minutes before you log in, and close no more windows.",
				"Attendez quelques minutes avant de vous connecter, et ne fermez pas d'autres fenêtres.",
				"Bitte warten Sie einige Minuten, bevor Sie sich anmelden, und schließen Sie keine weiteren Fenster.")}
		}
		at := q.clock(wait)
		return words{
			why:    why,
			advice: fmt.Sprintf("Wait until %s. Do not end more sessions: their slots would have to wait, too.", text.Coming(wait, q.Now)),
			tell:   logInAt(at),
		}
	case headroom.CauseProgram:
		why := "New sessions start again and again and are not used afterwards: by a program that does not keep its cookie, or a browser that is closed and opened again."
		if !facts.IdleKnown() {
			why += " " + activityDoubt(facts.ActivityInterval)
		}
		return words{
			why:    why,
			advice: "Ask whether a program logs in as this user. It must keep its session cookie, or log out when it is done. A person logs out before closing the browser.",
			tell: tell("New sessions start with your account again and again and are not used afterwards. Does a program use your account? Or do you close the browser without logging out?",
				"De nouvelles sessions démarrent sans cesse avec votre compte et ne sont pas utilisées ensuite. Un programme utilise-t-il votre compte ? Ou fermez-vous le navigateur sans vous déconnecter ?",
				"Mit Ihrem Konto beginnen immer wieder neue Sitzungen, die danach nicht benutzt werden. Benutzt ein Programm Ihr Konto? Oder schließen Sie den Browser, ohne sich abzumelden?"),
			canEnd: true,
		}
	case headroom.CauseRunaway:
		return words{
			why:    "Sessions start without end, faster than a person can start them: a page or a program is in a loop.",
			advice: "Have the user close the page, and stop or mend what loops. It can take the whole site down.",
			tell: tell("Please close all windows that show Qlik now. A page on your computer opens new sessions without end.",
				"Fermez maintenant toutes les fenêtres qui affichent Qlik. Une page de votre ordinateur ouvre sans cesse de nouvelles sessions.",
				"Bitte schließen Sie jetzt alle Fenster, die Qlik zeigen. Eine Seite auf Ihrem Rechner öffnet ohne Ende neue Sitzungen."),
			canEnd: true,
		}
	case headroom.CauseEmbeddedPage:
		return words{
			why:    "Several sessions started at once on one virtual proxy, as from a page that embeds Qlik and loses its session cookie.",
			advice: "Mend the page: its cookie is blocked (SameSite, third-party cookies, iOS). To help now: have the user close the page, and " + endOrWait("end its sessions"),
			tell: endForYou("The page that you opened started several sessions at once. Please close it. I can end its sessions for you",
				"La page que vous avez ouverte a démarré plusieurs sessions à la fois. Fermez-la. Je peux terminer ses sessions pour vous",
				"Die Seite, die Sie geöffnet haben, hat mehrere Sitzungen auf einmal begonnen. Bitte schließen Sie sie. Ich kann ihre Sitzungen für Sie beenden"),
			canEnd: true,
		}
	case headroom.CauseSharedAccount:
		return words{
			why:    "The account has had more than three times the limit for a long time, so several people or programs seem to share it.",
			advice: "Give everybody an account of their own. If no limit applies to this account, name it with --qlik.unlimited-user.",
			tell: tell("Several people use this account at once. Please log in with an account of your own.",
				"Plusieurs personnes utilisent ce compte à la fois. Connectez-vous avec votre propre compte.",
				"Mehrere Personen benutzen dieses Konto gleichzeitig. Bitte melden Sie sich mit einem eigenen Konto an."),
		}
	case headroom.CauseForgottenWindows:
		idle := count(headroom.SlotIdle)
		if !facts.IdleKnown() {
			return words{
				why:    fmt.Sprintf("%s no recorded activity in the last ten minutes. %s", have(idle), activityDoubt(facts.ActivityInterval)),
				advice: capital(endOrWait("ask the user what is still open, and end the other sessions")) + " A shorter session inactivity timeout of the virtual proxy may prevent this.",
				tell: endForYou(fmt.Sprintf("%d of your sessions seem not to be in use, for example in windows that you have closed. Tell me what is still open, and I can end the others for you", idle),
					fmt.Sprintf("%d de vos sessions semblent inutilisées, peut-être dans des fenêtres que vous avez fermées. Dites-moi ce qui est encore ouvert, et je peux terminer les autres pour vous", idle),
					fmt.Sprintf("%d Ihrer Sitzungen werden anscheinend nicht benutzt, zum Beispiel in Fenstern, die Sie geschlossen haben. Sagen Sie mir, was noch offen ist, dann kann ich die anderen für Sie beenden", idle)),
				canEnd: true,
			}
		}
		return words{
			why:    fmt.Sprintf("%s not been used for ten minutes or more.", have(idle)),
			advice: capital(endOrWait("end the idle sessions")) + " A shorter session inactivity timeout of the virtual proxy prevents this.",
			tell: endForYou(fmt.Sprintf("%d of your sessions are not in use, for example in windows that you have closed. I can end them for you", idle),
				fmt.Sprintf("%d de vos sessions sont inutilisées, peut-être dans des fenêtres que vous avez fermées. Je peux les terminer pour vous", idle),
				fmt.Sprintf("%d Ihrer Sitzungen werden nicht benutzt, zum Beispiel in Fenstern, die Sie geschlossen haben. Ich kann sie für Sie beenden", idle)),
			canEnd: true,
		}
	case headroom.CauseSeveralVirtualProxies:
		return words{
			why:    "The user works on three or more virtual proxies, and each of them takes slots of its own.",
			advice: "Use one virtual proxy for what belongs together. To help now: " + patience.advice,
			tell:   patience.tell, canEnd: true,
		}
	case headroom.CauseNotSticky:
		return words{
			why:    "The load balancer sends this user to several nodes, and each of them starts a session. Other users are spread, too.",
			advice: "Enable sticky sessions in the load balancer. To help now: " + patience.advice,
			tell:   patience.tell, canEnd: true,
		}
	case headroom.CauseSeveralWindows:
		return words{
			why:    "The user has several browsers, devices, virtual proxies, or hub and QMC open at the same time.",
			advice: capital(patience.advice), tell: patience.tell, canEnd: true,
		}
	default:
		if a.Sessions == 0 {
			return words{
				why:    fmt.Sprintf("Qlik's license check counts %s that no longer exist. It is not known why.", text.Count(len(facts.Slots), "session")),
				advice: "Wait: the slots usually become free by themselves. There is no session to end.",
				tell:   leftover(false),
			}
		}
		if slots := facts.MayCool(); slots > 0 && facts.EffectiveHeadroom <= 0 && facts.EffectiveHeadroom+slots > 0 && !wait.IsZero() {
			at := q.clock(wait)
			return words{
				why:    fmt.Sprintf("Slots taken without a session: %d. It is unknown whether they cool or are left over, because their sessions ended unseen.", slots),
				advice: fmt.Sprintf("Wait until %s. End sessions only if no slot is free then.", text.Coming(wait, q.Now)),
				tell: tell(fmt.Sprintf("Please try again at %s. If that fails, call again.", at),
					fmt.Sprintf("Réessayez à %s. Si cela ne marche pas, rappelez.", at),
					fmt.Sprintf("Bitte versuchen Sie es um %s Uhr noch einmal. Wenn es dann nicht geht, rufen Sie wieder an.", at)),
			}
		}
		return words{
			why:    "The cause cannot be told from what is known.",
			advice: capital(patience.advice), tell: patience.tell, canEnd: a.Sessions > 0,
		}
	}
}

// logInAt returns what a person hears who only has to wait.
func logInAt(clock string) map[string]string {
	return tell(fmt.Sprintf("Please log in again at %s. You do not need to close anything.", clock),
		fmt.Sprintf("Reconnectez-vous à %s. Il n'est pas nécessaire de fermer quoi que ce soit.", clock),
		fmt.Sprintf("Bitte melden Sie sich um %s Uhr wieder an. Sie müssen dafür nichts schließen.", clock))
}

// logOutOrWait returns what helps a person with several sessions. Closing a window does
// not end its session (docs/qlik.md, "End of a session").
func (q *Question) logOutOrWait(can bool, wait time.Time, waiting bool) words {
	switch {
	case waiting:
		return words{
			advice: fmt.Sprintf("wait until %s: ending sessions would free no slot sooner.", text.Coming(wait, q.Now)),
			tell:   logInAt(q.clock(wait)),
		}
	case can:
		return words{
			advice: "have the user log out where Qlik is not needed. Closing a window does not end its session.",
			tell: tell("You can log in once more. After that, please log out of Qlik where you do not need it before you use another browser or device.",
				"Vous pouvez vous connecter encore une fois. Ensuite, déconnectez-vous de Qlik là où vous n'en avez pas besoin avant d'utiliser d'autres navigateurs ou appareils.",
				"Sie können sich noch einmal anmelden. Bitte melden Sie sich danach bei Qlik ab, wo Sie es nicht brauchen, bevor Sie einen weiteren Browser oder ein weiteres Gerät benutzen."),
		}
	case wait.IsZero():
		return words{
			advice: "have the user log out where Qlik is not needed, or end sessions; a slot is free five minutes later. Closing a window does not end its session.",
			tell: tell("Please log out of Qlik where you do not need it, and try again five minutes later. It is not enough to close a window.",
				"Déconnectez-vous de Qlik là où vous n'en avez pas besoin, et réessayez cinq minutes plus tard. Fermer une fenêtre ne suffit pas.",
				"Bitte melden Sie sich bei Qlik ab, wo Sie es nicht brauchen, und versuchen Sie es fünf Minuten später noch einmal. Ein Fenster zu schließen reicht nicht."),
		}
	}
	at := q.clock(wait)
	return words{
		advice: fmt.Sprintf("have the user log out where Qlik is not needed, or end sessions; a slot is free five minutes later. Closing a window does not end its session. Or wait until %s.", text.Coming(wait, q.Now)),
		tell: tell(fmt.Sprintf("Please log out of Qlik where you do not need it, and try again five minutes later. It is not enough to close a window. If you do nothing, you can log in at %s.", at),
			fmt.Sprintf("Déconnectez-vous de Qlik là où vous n'en avez pas besoin, et réessayez cinq minutes plus tard. Fermer une fenêtre ne suffit pas. Sans rien faire, vous pourrez vous connecter à %s.", at),
			fmt.Sprintf("Bitte melden Sie sich bei Qlik ab, wo Sie es nicht brauchen, und versuchen Sie es fünf Minuten später noch einmal. Ein Fenster zu schließen reicht nicht. Wenn Sie nichts tun, können Sie sich um %s Uhr anmelden.", at)),
	}
}

// leftover returns what a person hears whose ended sessions are still counted.
func leftover(others bool) map[string]string {
	if others {
		return tell("Qlik still counts sessions that have ended. That usually stops by itself. Until then, please log out of Qlik in another browser, and try again five minutes later.",
			"Qlik compte encore des sessions terminées. Cela se règle en général tout seul. En attendant, déconnectez-vous de Qlik dans un autre navigateur, et réessayez cinq minutes plus tard.",
			"Qlik zählt noch Sitzungen mit, die beendet sind. Das gibt sich meist von selbst. Bitte melden Sie sich bis dahin in einem anderen Browser bei Qlik ab, und versuchen Sie es fünf Minuten später noch einmal.")
	}
	return tell("Qlik still counts sessions that have ended. That usually stops by itself. Please try again later. You do not need to close anything.",
		"Qlik compte encore des sessions terminées. Cela se règle en général tout seul. Réessayez plus tard. Il n'est pas nécessaire de fermer quoi que ce soit.",
		"Qlik zählt noch Sitzungen mit, die beendet sind. Das gibt sich meist von selbst. Bitte versuchen Sie es später noch einmal. Sie müssen dafür nichts schließen.")
}

// activityDoubt returns why a session that looks idle may be in use: how often the site
// records activity, or 0 if that is unknown.
func activityDoubt(interval time.Duration) string {
	if interval == 0 {
		return "How soon this site records activity is not known yet, so a session may be in use although it looks idle."
	}
	return fmt.Sprintf("On this site, %s can pass before activity is recorded, so a session may be in use although it looks idle.", text.Duration(interval))
}

func capital(sentence string) string { return strings.ToUpper(sentence[:1]) + sentence[1:] }

func have(sessions int) string {
	if sessions == 1 {
		return "1 session has"
	}
	return fmt.Sprintf("%d sessions have", sessions)
}

func (*Question) serviceAccountAdvice(facts *headroom.Facts) string {
	if facts.ServiceAccount == headroom.ConnectsReloads {
		return "Move the data connections of the monitoring apps (monitor_apps_REST_) to another root administrator, or take the license away if no person uses the account."
	}
	if !headroom.Holds(facts.License) {
		return "Find out whether this account holds a license. It should hold none: without one, the session limit does not apply to it."
	}
	return "Make sure that the account has an administrator's role, exclude it in the license rule, and then remove its license in the QMC under License management: the session limit does not apply to administrators without a license."
}
