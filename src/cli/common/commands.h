/* The subcommands; each is defined in the folder of the same name and listed in main.c. */
#ifndef LZ_CLI_COMMON_COMMANDS_H
#define LZ_CLI_COMMON_COMMANDS_H

#include "cli/common/command.h"

extern const struct lz_command lz_command_collapse;
extern const struct lz_command lz_command_compare;
extern const struct lz_command lz_command_completion;
extern const struct lz_command lz_command_cost;
extern const struct lz_command lz_command_doctor;
extern const struct lz_command lz_command_env;
extern const struct lz_command lz_command_metrics;
extern const struct lz_command lz_command_plot;
extern const struct lz_command lz_command_report;
extern const struct lz_command lz_command_run;
extern const struct lz_command lz_command_stat;
extern const struct lz_command lz_command_top;

#endif
