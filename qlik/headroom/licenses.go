package headroom

import "github.com/qlik-exporter/qlik_exporter/qlik"

// licenseUsers sets the license of each user.
func (o *observation) licenseUsers() {
	for i := range o.users {
		user := &o.users[i]
		user.License = licenseOf(user, o.round.Licenses, o.isNew(user))
	}
}

// licenseOf returns the license of a user. The lists of license holders take
// precedence. Otherwise user.License, from the user's own usage rows, shows a license
// that any user may use. The license of a new user is unknown, because it may have
// been allocated after the lists were read.
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

// isNew reports whether a user was first seen after the license lists were read and
// after the first round.
func (o *observation) isNew(user *UserStatus) bool {
	return o.round.Licenses != nil && user.FirstSeen.After(o.round.Licenses.ReadAt) && user.FirstSeen.After(o.after.since)
}
