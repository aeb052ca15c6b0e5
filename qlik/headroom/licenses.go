package headroom

import "github.com/qlik-exporter/qlik_exporter/qlik"

// licenseUsers says which license each user has.
func (o *observation) licenseUsers() {
	for i := range o.users {
		user := &o.users[i]
		user.License = licenseOf(user, o.round.Licenses, o.isNew(user))
	}
}

// licenseOf returns the license of a user: by the lists of who holds one, else by
// the user's own rows (in user.License), which show who uses a license that
// anybody may use. Somebody new may have been given one since the lists were read.
func licenseOf(user *UserStatus, licenses *qlik.Licenses, isNew bool) string {
	if licenses == nil {
		return user.License
	}
	license := licenses.Of(user.User)
	switch {
	case license != qlik.LicenseNone && license != qlik.LicenseUnknown:
		return license
	case user.License != "":
		return user.License
	case isNew:
		return qlik.LicenseUnknown
	default:
		return license
	}
}

// isNew reports whether a user was first seen after the license lists were read.
// Who was there in the first round is not.
func (o *observation) isNew(user *UserStatus) bool {
	return o.round.Licenses != nil && user.FirstSeen.After(o.round.Licenses.ReadAt) && user.FirstSeen.After(o.after.since)
}
