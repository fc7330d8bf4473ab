/* measure_list.h -- every measure there is; a new one is a line here, one in measures.c and a file. */
#ifndef WN_EVAL_MEASURE_LIST_H
#define WN_EVAL_MEASURE_LIST_H
#include "eval/measures.h"

extern const wn_measure wn_measure_runid;
extern const wn_measure wn_measure_num_q;
extern const wn_measure wn_measure_num_ret;
extern const wn_measure wn_measure_num_rel;
extern const wn_measure wn_measure_num_rel_ret;
extern const wn_measure wn_measure_map;
extern const wn_measure wn_measure_gm_map;
extern const wn_measure wn_measure_Rprec;
extern const wn_measure wn_measure_bpref;
extern const wn_measure wn_measure_recip_rank;
extern const wn_measure wn_measure_recip_rank_cut;
extern const wn_measure wn_measure_iprec_at_recall;
extern const wn_measure wn_measure_P;
extern const wn_measure wn_measure_relstring;
extern const wn_measure wn_measure_recall;
extern const wn_measure wn_measure_infAP;
extern const wn_measure wn_measure_gm_bpref;
extern const wn_measure wn_measure_Rprec_mult;
extern const wn_measure wn_measure_utility;
extern const wn_measure wn_measure_11pt_avg;
extern const wn_measure wn_measure_binG;
extern const wn_measure wn_measure_G;
extern const wn_measure wn_measure_dcg;
extern const wn_measure wn_measure_ideal_dcg;
extern const wn_measure wn_measure_ndcg;
extern const wn_measure wn_measure_ndcg_rel;
extern const wn_measure wn_measure_Rndcg;
extern const wn_measure wn_measure_ndcg_cut;
extern const wn_measure wn_measure_map_cut;
extern const wn_measure wn_measure_relative_P;
extern const wn_measure wn_measure_success;
extern const wn_measure wn_measure_set_P;
extern const wn_measure wn_measure_set_relative_P;
extern const wn_measure wn_measure_set_recall;
extern const wn_measure wn_measure_set_map;
extern const wn_measure wn_measure_set_F;
extern const wn_measure wn_measure_num_nonrel_judged_ret;
extern const wn_measure wn_measure_prefs_num_prefs_poss;
extern const wn_measure wn_measure_prefs_num_prefs_ful;
extern const wn_measure wn_measure_prefs_num_prefs_ful_ret;
extern const wn_measure wn_measure_prefs_simp;
extern const wn_measure wn_measure_prefs_pair;
extern const wn_measure wn_measure_prefs_avgjg;
extern const wn_measure wn_measure_prefs_avgjg_Rnonrel;
extern const wn_measure wn_measure_prefs_simp_ret;
extern const wn_measure wn_measure_prefs_pair_ret;
extern const wn_measure wn_measure_prefs_avgjg_ret;
extern const wn_measure wn_measure_prefs_avgjg_Rnonrel_ret;
extern const wn_measure wn_measure_prefs_simp_imp;
extern const wn_measure wn_measure_prefs_pair_imp;
extern const wn_measure wn_measure_prefs_avgjg_imp;
extern const wn_measure wn_measure_map_avgjg;
extern const wn_measure wn_measure_P_avgjg;
extern const wn_measure wn_measure_Rprec_mult_avgjg;
extern const wn_measure wn_measure_yaap;
extern const wn_measure wn_measure_rbp;
extern const wn_measure wn_measure_rbp_resid;
extern const wn_measure wn_measure_unj;
#endif
