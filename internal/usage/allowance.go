package usage

// Unlimited is the limit of a bot that may hold as many conversations as it likes.
const Unlimited = -1

// daysPerMonth turns a daily limit into a monthly one, whatever the month's length: a plan's price doesn't follow the
// calendar.
const daysPerMonth = 30

// Allowance is how many conversations a restaurant may hold, and how many of them are left. All four are Unlimited
// where the plan has no limit.
type Allowance struct {
	DailyLimit       int64
	DailyRemaining   int64
	MonthlyLimit     int64
	MonthlyRemaining int64
}

// NewAllowance returns the allowance of a bot that may open dailyLimit conversations a day, of which it opened today
// today, and whose month's quota is month. What remains is never below 0; a negative dailyLimit means Unlimited. What was
// added to the month counts in the monthly figures, and changes no day's.
func NewAllowance(dailyLimit, today int64, month Quota) Allowance {
	if dailyLimit < 0 {
		return Allowance{Unlimited, Unlimited, Unlimited, Unlimited}
	}
	return Allowance{
		DailyLimit:       dailyLimit,
		DailyRemaining:   max(0, dailyLimit-today),
		MonthlyLimit:     month.EffectiveLimit(),
		MonthlyRemaining: month.Remaining(),
	}
}
