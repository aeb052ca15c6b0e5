package answer

import (
	"testing"
	"time"
)

// TestFreed checks that a user who gets no slot hears what to do for one, in each language.
func TestFreed(t *testing.T) {
	now := time.Date(2026, 11, 27, 14, 0, 30, 0, time.UTC)
	later, windows := now.Add(5*time.Minute), []string{"/sales", "/portal"}
	for _, test := range []struct {
		name         string
		freed, waits bool
		windows      []string
		works        time.Time
		want         map[string]string
	}{
		{"freed", true, false, windows, later, tell(
			"I have freed a slot for you. The windows that you used last (on /sales, /portal) keep working. You can open a new one from 14:06 on.",
			"J'ai libéré une place pour vous. Les fenêtres que vous avez utilisées en dernier (sur /sales, /portal) restent utilisables. Vous pourrez en ouvrir une nouvelle à partir de 14:06.",
			"Ich habe einen Platz für Sie freigemacht. Die Fenster, die Sie zuletzt benutzt haben (auf /sales, /portal), laufen weiter. Ab 14:06 Uhr können Sie ein neues öffnen.",
		)},
		{"not freed", false, true, windows, later, tell(
			"I could not free a slot. The windows that you used last (on /sales, /portal) keep working. "+
				"Please log out of Qlik where you do not need it, and open a new window five minutes later. It is not enough to close a window.",
			"Je n'ai pas pu libérer de place. Les fenêtres que vous avez utilisées en dernier (sur /sales, /portal) restent utilisables. "+
				"Déconnectez-vous de Qlik là où vous n'en avez pas besoin, et ouvrez une nouvelle fenêtre cinq minutes plus tard. Fermer une fenêtre ne suffit pas.",
			"Ich konnte keinen Platz freimachen. Die Fenster, die Sie zuletzt benutzt haben (auf /sales, /portal), laufen weiter. "+
				"Bitte melden Sie sich bei Qlik ab, wo Sie es nicht brauchen, und öffnen Sie fünf Minuten später ein neues Fenster. Ein Fenster zu schließen reicht nicht.",
		)},
		{"free already", false, true, windows[:1], now, tell(
			"Your open window (on /sales) keeps working. You can open a new one now.",
			"Votre fenêtre ouverte (sur /sales) reste utilisable. Vous pouvez en ouvrir une nouvelle maintenant.",
			"Ihr offenes Fenster (auf /sales) läuft weiter. Sie können jetzt ein neues öffnen.",
		)},
		{"gone already", false, false, nil, later, tell(
			"You can log in from 14:06 on.", "Vous pourrez vous connecter à partir de 14:06.", "Ab 14:06 Uhr können Sie sich anmelden.",
		)},
	} {
		got := Freed(test.freed, test.waits, test.windows, test.works, now)
		for language, want := range test.want {
			if got[language] != want {
				t.Errorf("%s, %s: got %s\nwant %s", test.name, language, got[language], want)
			}
		}
	}
}
