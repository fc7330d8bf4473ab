// faiss_flat.cpp -- FAISS's exact index behind two C functions, for bench_scan.c.
#include <faiss/IndexFlat.h>
#include <omp.h>

extern "C" {
void *faiss_flat_create(const float *rows, size_t n, size_t dim) {
    auto *index = new faiss::IndexFlatIP((faiss::Index::idx_t)dim);
    index->add((faiss::Index::idx_t)n, rows);
    return index;
}
void faiss_flat_search(void *index, const float *queries, size_t nq, size_t k, int threads, float *scores, int64_t *rows) {
    omp_set_num_threads(threads);
    static_cast<faiss::IndexFlatIP *>(index)->search((faiss::Index::idx_t)nq, queries, (faiss::Index::idx_t)k, scores, rows);
}
void faiss_flat_free(void *index) { delete static_cast<faiss::IndexFlatIP *>(index); }
}
