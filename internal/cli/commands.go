package cli

import "github.com/spf13/cobra"

//go:generate go test . -run Fresh -update

// The groups of havre --help.
const (
	everyday = "Every day"
	nouns    = "Things"
	machine  = "This machine"
)

// row is a command: where it stands and what makes it.
type row struct {
	group string
	noun  string // the command it belongs to; "" is havre itself
	make  func(*console) *cobra.Command
}

// commands is all of them, in the order of the help.
func commands() []row {
	return []row{
		{everyday, "", newApply},
		{everyday, "", newPlan},
		{everyday, "", newPs},
		{everyday, "", newLogs},
		{everyday, "", newExec},
		{everyday, "", newTop},
		{everyday, "", newEvents},
		{everyday, "", newCp},
		{everyday, "", newWhy},
		{everyday, "", newHistory},
		{everyday, "", newDiff},
		{everyday, "", newRollback},
		{everyday, "", newScale},
		{everyday, "", newStart},
		{everyday, "", newStop},
		{everyday, "", newRestart},
		{everyday, "", newRm},
		{everyday, "", newExport},
		{nouns, "", noun("image", "Images that services are made of")},
		{nouns, "image", newImageLs},
		{nouns, "image", newImageBootstrap},
		{nouns, "image", newImageBuild},
		{nouns, "image", newImageLoad},
		{nouns, "image", newImagePull},
		{nouns, "image", newImageRm},
		{nouns, "", noun("volume", "Kept data of services")},
		{nouns, "volume", newVolumeLs},
		{nouns, "volume", newVolumeUsage},
		{nouns, "volume", newVolumeClean},
		{nouns, "volume", newVolumeRm},
		{nouns, "", noun("secret", "Passwords and keys that services are given")},
		{nouns, "secret", newSecretLs},
		{nouns, "secret", newSecretCreate},
		{nouns, "secret", newSecretRm},
		{nouns, "", noun("alert", "What is wrong by the rules, and who is told")},
		{nouns, "alert", newAlertLs},
		{nouns, "alert", newAlertSilence},
		{nouns, "alert", newAlertTest},
		{machine, "", newUp},
		{machine, "", newDown},
		{machine, "", newStatus},
		{machine, "", newDoctor},
		{machine, "", newInstall},
		{machine, "", newUninstall},
		{machine, "", noun("import", "Take over what Docker runs without Havre")},
		{machine, "import", newImportContainer},
		{machine, "import", newImportStack},
		{machine, "import", newImportCompose},
		{machine, "import", newImportLs},
		{machine, "import", newImportUndo},
		{machine, "import", newImportConfirm},
		{machine, "", noun("config", "Configurations of the roles")},
		{machine, "config", newConfigCheck},
		{machine, "config", newConfigShow},
		{machine, "", noun("guard", "The guard before Docker")},
		{machine, "guard", newGuardLog},
		{machine, "", newServe},
		{machine, "", newVersion},
	}
}
