package answer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// Freed returns what to tell a user after sessions were ended, by language: which windows go
// on, and from when a new one works. Freed means that a session with a slot has ended, and
// waits that the user gets one only by logging out, or when a session times out.
// Windows are the virtual proxies of all sessions that go on, the last active one first. The
// zero time means that it is unknown when a new window works.
func Freed(freed, waits bool, windows []string, works, now time.Time) map[string]string {
	var english, french, german []string
	waits = waits && len(windows) > 0 && (works.IsZero() || works.After(now))
	switch {
	case waits:
		english = append(english, "I could not free a slot.")
		french = append(french, "Je n'ai pas pu libérer de place.")
		german = append(german, "Ich konnte keinen Platz freimachen.")
	case freed:
		english = append(english, "I have freed a slot for you.")
		french = append(french, "J'ai libéré une place pour vous.")
		german = append(german, "Ich habe einen Platz für Sie freigemacht.")
	}
	switch len(windows) {
	case 0:
	case 1:
		english = append(english, fmt.Sprintf("Your open window%s keeps working.", on("on", windows)))
		french = append(french, fmt.Sprintf("Votre fenêtre ouverte%s reste utilisable.", on("sur", windows)))
		german = append(german, fmt.Sprintf("Ihr offenes Fenster%s läuft weiter.", on("auf", windows)))
	default:
		english = append(english, fmt.Sprintf("The windows that you used last%s keep working.", on("on", windows)))
		french = append(french, fmt.Sprintf("Les fenêtres que vous avez utilisées en dernier%s restent utilisables.", on("sur", windows)))
		german = append(german, fmt.Sprintf("Die Fenster, die Sie zuletzt benutzt haben%s, laufen weiter.", on("auf", windows)))
	}
	clock := works.In(now.Location()).Add(59 * time.Second).Format("15:04")
	first := len(windows) == 0 // there is no other window
	switch {
	case waits:
		english = append(english, "Please log out of Qlik where you do not need it, and open a new window five minutes later. It is not enough to close a window.")
		french = append(french, "Déconnectez-vous de Qlik là où vous n'en avez pas besoin, et ouvrez une nouvelle fenêtre cinq minutes plus tard. Fermer une fenêtre ne suffit pas.")
		german = append(german, "Bitte melden Sie sich bei Qlik ab, wo Sie es nicht brauchen, und öffnen Sie fünf Minuten später ein neues Fenster. Ein Fenster zu schließen reicht nicht.")
	case works.IsZero() && first:
		english = append(english, "Please try again in five minutes, and call again if it fails.")
		french = append(french, "Réessayez dans cinq minutes, et rappelez si cela ne marche pas.")
		german = append(german, "Bitte versuchen Sie es in fünf Minuten noch einmal, und rufen Sie wieder an, wenn es nicht geht.")
	case works.IsZero():
		english = append(english, "Please try to open a new one in five minutes, and call again if it fails.")
		french = append(french, "Essayez d'en ouvrir une nouvelle dans cinq minutes, et rappelez si cela ne marche pas.")
		german = append(german, "Bitte versuchen Sie in fünf Minuten, ein neues zu öffnen, und rufen Sie wieder an, wenn es nicht geht.")
	case !works.After(now) && first:
		english = append(english, "You can log in now.")
		french = append(french, "Vous pouvez vous connecter maintenant.")
		german = append(german, "Sie können sich jetzt anmelden.")
	case !works.After(now):
		english = append(english, "You can open a new one now.")
		french = append(french, "Vous pouvez en ouvrir une nouvelle maintenant.")
		german = append(german, "Sie können jetzt ein neues öffnen.")
	case first:
		english = append(english, fmt.Sprintf("You can log in from %s on.", clock))
		french = append(french, fmt.Sprintf("Vous pourrez vous connecter à partir de %s.", clock))
		german = append(german, fmt.Sprintf("Ab %s Uhr können Sie sich anmelden.", clock))
	default:
		english = append(english, fmt.Sprintf("You can open a new one from %s on.", clock))
		french = append(french, fmt.Sprintf("Vous pourrez en ouvrir une nouvelle à partir de %s.", clock))
		german = append(german, fmt.Sprintf("Ab %s Uhr können Sie ein neues öffnen.", clock))
	}
	return tell(strings.Join(english, " "), strings.Join(french, " "), strings.Join(german, " "))
}

// on names the virtual proxies of windows. The default one has no name that a user knows.
func on(word string, windows []string) string {
	var names []string
	for _, name := range windows {
		switch name = text.Visible(name); {
		case name == "/":
			return ""
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	if len(names) > 3 {
		return ""
	}
	return " (" + word + " " + strings.Join(names, ", ") + ")"
}
