package fleet

import "slices"

// Names of settings.
const (
	SettingVoters           = "voters"           // 3, 5 or 7
	SettingLostAfter        = "lostAfterMs"      // 5 s to 1 day
	SettingAgentDownAfter   = "agentDownAfterMs" // 1 s to 1 day
	SettingDynamicPortFirst = "dynamicPortFirst" // 1024 to dynamicPortLast
	SettingDynamicPortLast  = "dynamicPortLast"  // dynamicPortFirst to 65535
	SettingFormatSoak       = "formatSoakMs"     // 1 s to 30 days
)

// SettingNames lists the settings that PutSetting knows.
func SettingNames() []string {
	return []string{SettingVoters, SettingLostAfter, SettingAgentDownAfter, SettingDynamicPortFirst,
		SettingDynamicPortLast, SettingFormatSoak}
}

// Get returns a setting by its name; ok is false for an unknown one.
func (v Settings) Get(name string) (value int64, ok bool) {
	switch name {
	case SettingVoters:
		return int64(v.Voters), true
	case SettingLostAfter:
		return v.LostAfterMs, true
	case SettingAgentDownAfter:
		return v.AgentDownAfterMs, true
	case SettingDynamicPortFirst:
		return int64(v.DynamicPortFirst), true
	case SettingDynamicPortLast:
		return int64(v.DynamicPortLast), true
	case SettingFormatSoak:
		return v.FormatSoak(), true
	default:
		return 0, false
	}
}

// set changes a setting and returns its value before.
func (v *Settings) set(name string, value int64) (was int64, err error) {
	was, ok := v.Get(name)
	if !ok {
		return 0, field("name", "%s is no setting: there are %q", quoted(name), SettingNames())
	}
	if err := v.checkSetting(name, value); err != nil {
		return 0, err
	}
	switch name {
	case SettingVoters:
		v.Voters = int(value)
	case SettingLostAfter:
		v.LostAfterMs = value
	case SettingAgentDownAfter:
		v.AgentDownAfterMs = value
	case SettingDynamicPortFirst:
		v.DynamicPortFirst = int(value)
	case SettingDynamicPortLast:
		v.DynamicPortLast = int(value)
	case SettingFormatSoak:
		v.FormatSoakMs = value
	}
	return was, nil
}

func (v *Settings) checkSetting(name string, value int64) error {
	const day = 86_400_000
	switch name {
	case SettingVoters:
		if !slices.Contains([]int64{3, 5, 7}, value) {
			return field(name, "is %d: 3, 5 and 7 are allowed", value)
		}
		return nil
	case SettingLostAfter:
		return checkRange(name, value, 5_000, day)
	case SettingAgentDownAfter:
		return checkRange(name, value, 1_000, day)
	case SettingFormatSoak:
		return checkRange(name, value, 1_000, 30*day)
	case SettingDynamicPortFirst:
		return checkRange(name, value, 1024, int64(v.DynamicPortLast))
	default:
		return checkRange(name, value, int64(v.DynamicPortFirst), 65535)
	}
}
